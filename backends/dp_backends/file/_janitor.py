"""
`Janitor`: removes orphans, and the outcomes of dead generations.

There is no background task. Every write has a small chance to be followed by
the cleaning of one shard, in the same worker thread, after its effect.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from secrets import randbelow, token_hex
from typing import Final, final

from dp_backends.file._durability import Durability
from dp_backends.file._files import read_file, remove, write_new_file
from dp_backends.file._layout import (
    FOREIGN,
    GRACE,
    HEAD,
    SHARDS,
    TEMPORARY,
    PromiseFiles,
    read_name,
    shard_path,
)
from dp_backends.file._record import Record
from dp_core import CorruptPromiseError

__all__ = ["Janitor"]

_WRITES_PER_CLEANING: Final = 256


@final
class Janitor:
    """
    Cleans the store in one directory.

    Args:
        root: The directory.
        durability: Makes a shard durable before anything is removed from it.
    """

    def __init__(self, root: str, durability: Durability) -> None:
        self._root = root
        self._durability = durability

    def after_write(self, files: PromiseFiles) -> None:
        """Clean the shard that was just written to, once in a while."""
        if randbelow(_WRITES_PER_CLEANING) == 0:
            with suppress(OSError):
                self.clean(files.shard)
                self.clean(self._root)

    def clean_all(self) -> None:
        """Clean every shard, and the root, where makers of the store may have died."""
        for directory in (*(shard_path(self._root, s) for s in SHARDS), self._root):
            with suppress(OSError):
                self.clean(directory)

    def clean(self, shard: str) -> None:
        """
        Clean one shard, or the root.

        Raises:
            OSError: It could not be read or made durable; nothing is lost.
        """
        old = time.time() - GRACE
        contents = _Contents.of(shard)
        taken = _take([path for path in contents.temporary if _is_older(path, old)])
        # The heads are read after the listing: a generation that was there before
        # and that its head does not name now will never be named again.
        dead = list(contents.dead())
        if taken or dead:
            # An orphan may be the mark of a record that is not durable yet, and a
            # head must be durable before the outcomes that it buries are touched.
            self._durability.fsync_names(shard)
        for path in taken:
            remove(path)
        for files, generation in dead:
            path = files.outcome(generation)
            if os.stat(path).st_size > 0:
                self.erase(files, generation)
            elif _is_older(path, old):
                remove(path)

    def erase(self, files: PromiseFiles, generation: str) -> None:
        """
        Erase a dead outcome, but keep its name, with the time of the erasure.

        Raises:
            OSError: It could not be erased.
        """
        path = files.outcome(generation)
        if not os.path.exists(path):
            return
        empty = files.temporary(token_hex(16))
        write_new_file(empty, b"")
        try:
            os.rename(empty, path)
        except OSError:
            remove(empty)
            raise


@final
@dataclass(frozen=True, slots=True)
class _Contents:
    """
    The files in one shard, as they were listed.

    Attributes:
        temporary: The paths of temporary files.
        heads: The promises that have a head.
        outcomes: The generations that have an outcome, by the promise's name.
    """

    temporary: list[str]
    heads: list[PromiseFiles]
    outcomes: dict[str, list[str]]

    @classmethod
    def of(cls, shard: str) -> _Contents:
        contents = cls([], [], {})
        for file in os.listdir(shard):
            name, what = read_name(file)
            if what == FOREIGN:
                continue
            if what == TEMPORARY:
                contents.temporary.append(f"{shard}/{file}")
            elif what == HEAD:
                contents.heads.append(PromiseFiles(shard, name))
            else:
                contents.outcomes.setdefault(name, []).append(what)
        return contents

    def dead(self) -> Iterator[tuple[PromiseFiles, str]]:
        """Read the heads, and yield the outcomes of generations that have ended."""
        for files in self.heads:
            living = _living(files)
            for generation in self.outcomes.get(files.name, ()):
                if living is not None and generation != living:
                    yield files, generation


def _take(paths: Iterable[str]) -> list[str]:
    """
    Rename orphans to names that nobody else knows, and return these.

    A stalled writer that wakes up either finds its file gone, or published it
    before the shard is made durable.
    """
    taken: list[str] = []
    for path in paths:
        new = f"{os.path.dirname(path)}/{TEMPORARY}{token_hex(16)}"
        with suppress(FileNotFoundError):
            os.rename(path, new)
            taken.append(new)
    return taken


def _living(files: PromiseFiles) -> str | None:
    """Return the generation that the head names; None where it cannot be read."""
    content = read_file(files.head)
    if content is None:
        return None
    try:
        return Record.from_bytes(content[0], files.head).nonce
    except CorruptPromiseError:
        # An error for callers that ask for this promise, not for its neighbours.
        return None


def _is_older(path: str, moment: float) -> bool:
    try:
        return os.stat(path).st_mtime < moment
    except FileNotFoundError:
        return False
