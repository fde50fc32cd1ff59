"""
`Janitor`: removes orphans, and the outcomes and terms of dead generations.

There is no background task. Every write has a small chance, and a disposal a larger
one, to be followed by the cleaning of its shard and of another one, in the same worker
thread, after its effect. A write that finds no room has everything cleaned.

How old a file is, is by the clock of the file system that has dated it: nothing is
removed too early because the clock of this process is wrong.
"""

from __future__ import annotations

import math
import os
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from random import choice, random
from secrets import token_hex
from typing import Final, final

from dp_backends.file._files import read_file, remove, write_new_file
from dp_backends.file._layout import (
    GRACE,
    SHARDS,
    FileName,
    Kind,
    PromiseFiles,
    shard_path,
    temporary_path,
)
from dp_backends.file._publishing import Durability
from dp_backends.file._record import Record
from dp_core import BackendError

__all__ = ["Janitor"]

_WRITES_PER_CLEANING: Final = 256
_DISPOSALS_PER_CLEANING: Final = 16
_SECONDS_PER_CLEANING_OF_ALL: Final = 60.0


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
        self._next_cleaning_of_all = -math.inf

    def after_write(self, files: PromiseFiles) -> None:
        """Clean the shard that was just written to, once in a while."""
        self._sometimes(files, _WRITES_PER_CLEANING)

    def after_disposal(self, files: PromiseFiles) -> None:
        """Do what `after_write` does, more often: a disposal leaves what is dead."""
        self._sometimes(files, min(_DISPOSALS_PER_CLEANING, _WRITES_PER_CLEANING))

    def _sometimes(self, files: PromiseFiles, writes: int) -> None:
        if random() * writes < 1:  # noqa: S311 - no secret
            # Another one, too: nobody may ever write to it again.
            another = shard_path(self._root, choice(SHARDS))  # noqa: S311 - no secret
            for directory in dict.fromkeys((files.shard, another, self._root)):
                with suppress(OSError):
                    self.clean(directory)

    def clean_all(self) -> int:
        """
        Clean every shard, and the root, where makers of the store may have died.

        Returns:
            How many files were removed or erased.
        """
        cleared = 0
        for directory in (*(shard_path(self._root, s) for s in SHARDS), self._root):
            with suppress(OSError):
                cleared += self.clean(directory)
        return cleared

    def make_room(self) -> bool:
        """Clean everything, if that was not done just now; return whether it helped."""
        now = time.monotonic()
        if now < self._next_cleaning_of_all:
            return False
        self._next_cleaning_of_all = now + _SECONDS_PER_CLEANING_OF_ALL
        return self.clean_all() > 0

    def clean(self, shard: str) -> int:
        """
        Clean one shard, or the root.

        Returns:
            How many files were removed or erased.

        Raises:
            OSError: It could not be read or made durable; nothing is lost.
        """
        old = _file_system_time(shard) - GRACE
        contents = _Contents.of(shard)
        taken = _take([path for path in contents.temporary if _is_older(path, old)])
        # The heads are read after the listing: a generation that was there before
        # and that its head does not name now will never be named again.
        dead = list(contents.dead())
        if taken or dead:
            # An orphan may be the mark of a record that is not durable yet, and a
            # head must be durable before anything that it buries is touched.
            self._durability.fsync_names(shard)
        cleared = len(taken)
        for path in taken:
            remove(path)
        for path in dead:
            # Another janitor may be at it.
            with suppress(FileNotFoundError):
                if os.stat(path).st_size > 0:
                    _erase(path)
                elif _is_older(path, old):
                    remove(path)
                else:
                    continue
                cleared += 1
        return cleared

    def erase(self, files: PromiseFiles, generation: str) -> None:
        """
        Erase the outcome and the terms of a dead generation.

        Raises:
            OSError: They could not be erased.
        """
        for path in (files.outcome(generation), files.terms(generation)):
            _erase(path)


@final
@dataclass(frozen=True, slots=True)
class _Contents:
    """
    The files in one shard, as they were listed.

    Attributes:
        temporary: The paths of temporary files.
        heads: The promises that have a head.
        records: The outcomes and terms of each promise, by its name, with the paths.
    """

    temporary: list[str]
    heads: list[PromiseFiles]
    records: dict[str, list[tuple[FileName, str]]]

    @classmethod
    def of(cls, shard: str) -> _Contents:
        contents = cls([], [], {})
        for entry in os.listdir(shard):
            file, path = FileName.of(entry), f"{shard}/{entry}"
            match file.kind:
                case Kind.TEMPORARY:
                    contents.temporary.append(path)
                case Kind.HEAD:
                    contents.heads.append(PromiseFiles(shard, file.name))
                case Kind.OUTCOME | Kind.TERMS:
                    contents.records.setdefault(file.name, []).append((file, path))
                case Kind.FOREIGN:  # pragma: no branch - the last of all kinds
                    pass
        return contents

    def dead(self) -> Iterator[str]:
        """Read the heads, and yield the records of generations that have ended."""
        for files in self.heads:
            living = _living(files)
            for file, path in self.records.get(files.name, ()):
                if living is not None and file.generation != living:
                    yield path


def _erase(path: str) -> None:
    """Erase a dead record, but keep its name, with the time of the erasure."""
    while os.path.exists(path):
        empty = temporary_path(os.path.dirname(path), token_hex(16))
        write_new_file(empty, b"")
        try:
            os.rename(empty, path)
        except FileNotFoundError:
            # Taken for an orphan: begin anew.
            continue
        except OSError:
            remove(empty)
            raise
        return


def _take(paths: Iterable[str]) -> list[str]:
    """
    Rename orphans to names that nobody else knows, and return these.

    A stalled writer that wakes up either finds its file gone, or published it
    before the shard is made durable.
    """
    taken: list[str] = []
    for path in paths:
        new = temporary_path(os.path.dirname(path), token_hex(16))
        with suppress(FileNotFoundError):
            os.rename(path, new)
            taken.append(new)
    return taken


def _living(files: PromiseFiles) -> str | None:
    """Return the generation that the head names; None where it cannot be read."""
    try:
        content = read_file(files.head)
        return content and Record.from_bytes(content[0], files.head).nonce
    except BackendError:
        # An error for callers that ask for this promise, not for its neighbours.
        return None


def _file_system_time(directory: str) -> float:
    """Return the time by which the file system dates files; needs no room."""
    os.utime(directory)
    return os.stat(directory).st_mtime


def _is_older(path: str, moment: float) -> bool:
    """Tell whether a file is older; what is not a file is not ours."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_mtime < moment
