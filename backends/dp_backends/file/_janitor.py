"""
Clearing away what nobody needs: orphans, and the outcomes of dead generations.

There is no background task. Every write has a small chance to be followed by
the cleaning of one shard, in the same worker thread, after its effect.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from secrets import randbelow, token_hex
from typing import Final

from dp_backends.file._files import read_file, remove, write_new_file
from dp_backends.file._layout import FOREIGN, HEAD, TEMPORARY, Place, read_name
from dp_backends.file._record import Record
from dp_core import CorruptPromiseError

__all__ = ["GRACE", "Janitor"]

GRACE: Final = 3600.0
"""
For how long, in seconds, a process may stand still within one operation.

Orphans, and the names of dead outcomes, are removed only after this.
"""

_WRITES_PER_CLEANING: Final = 256


class Janitor:
    """Cleans the store in one directory."""

    def __init__(self, root: str, make_durable: Callable[[str], None]) -> None:
        self._root = root
        self._make_durable = make_durable

    def after_write(self, place: Place) -> None:
        """Clean the shard that was just written to, once in a while."""
        if randbelow(_WRITES_PER_CLEANING) == 0:
            with suppress(OSError):
                self.clean(place.shard)
                self.clean(self._root)

    def clean_all(self) -> None:
        """Clean every shard, and the root, where makers of the store may have died."""
        for directory in (*(f"p/{number:02x}" for number in range(256)), ""):
            with suppress(OSError):
                self.clean(f"{self._root}/{directory}")

    def clean(self, shard: str) -> None:
        """
        Clean one shard, or the root.

        Raises:
            OSError: It could not be read or made durable; nothing is lost.
        """
        old = time.time() - GRACE
        orphans: list[str] = []
        outcomes: defaultdict[str, list[str]] = defaultdict(list)
        heads: list[Place] = []
        for file in os.listdir(shard):
            name, what = read_name(file)
            if what == FOREIGN:
                continue
            if what == TEMPORARY:
                orphans.append(f"{shard}/{file}")
            elif what == HEAD:
                heads.append(Place(shard, name))
            else:
                outcomes[name].append(what)
        # Taken from a writer that stands still and may yet wake: it will find
        # its file gone, or have published it before what follows.
        orphans = [_taken(path, shard) for path in orphans if _is_older(path, old)]
        # The heads are read after the listing: what was there before and is
        # not named now will never be named again.
        dead = [
            (place, generation)
            for place in heads
            if (named := _named(place)) is not None
            for generation in outcomes[place.name]
            if generation != named
        ]
        if orphans or dead:
            # An orphan may be what says that its twin is not durable yet, and
            # a head must be durable before what it buries is touched.
            self._make_durable(shard)
        for path in orphans:
            remove(path)
        for place, generation in dead:
            path = place.outcome(generation)
            if os.stat(path).st_size > 0:
                self.erase(place, generation)
            elif _is_older(path, old):
                remove(path)

    def erase(self, place: Place, generation: str) -> None:
        """
        Erase a dead outcome, but keep its name, with the time of the erasure.

        Raises:
            OSError: It could not be erased.
        """
        path = place.outcome(generation)
        if not os.path.exists(path):
            return
        empty = place.temporary(token_hex(16))
        write_new_file(empty, b"")
        try:
            os.rename(empty, path)
        except OSError:
            remove(empty)
            raise


def _taken(path: str, shard: str) -> str:
    """Rename an orphan, so that nobody else knows its name."""
    taken = f"{shard}/{TEMPORARY}{token_hex(16)}"
    with suppress(FileNotFoundError):
        os.rename(path, taken)
    return taken


def _named(place: Place) -> str | None:
    """Return the generation that the head names; None where nobody can tell."""
    content = read_file(place.head)
    if content is None:
        return None
    try:
        return Record.from_bytes(content[0], place.head).nonce
    except CorruptPromiseError:
        # For those to hear who ask for this promise.
        return None


def _is_older(path: str, moment: float) -> bool:
    try:
        return os.stat(path).st_mtime < moment
    except FileNotFoundError:
        return False
