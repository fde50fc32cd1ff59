"""
`Inotify`: the kernel reports names that appear and disappear in a directory.

The standard library has no binding of inotify(7), and three system calls need no
library.
"""

from __future__ import annotations

import ctypes
import os
import struct
import weakref
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, final

__all__ = ["NAMES", "WRITES", "DirectoryEvent", "Inotify", "open_inotify"]

# <sys/inotify.h>
_IN_MODIFY: Final = 0x00000002
_IN_MOVED_TO: Final = 0x00000080
_IN_CREATE: Final = 0x00000100
_IN_DELETE: Final = 0x00000200
_IN_UNMOUNT: Final = 0x00002000
_IN_Q_OVERFLOW: Final = 0x00004000
_IN_IGNORED: Final = 0x00008000
_IN_ONLYDIR: Final = 0x01000000

NAMES: Final = _IN_MOVED_TO | _IN_CREATE | _IN_DELETE | _IN_ONLYDIR
"""Names that appear and disappear in a directory."""

WRITES: Final = _IN_MODIFY
"""Writes to a file, or to any file of a directory."""


_HEADER: Final = struct.Struct("iIII")
_BUFFER: Final = 64 * 1024


@final
@dataclass(frozen=True, slots=True)
class DirectoryEvent:
    """
    A name that appeared or disappeared in a directory, or a file that was written to.

    Attributes:
        directory: The directory, or the file, that is watched; None if the kernel
            dropped events, of any of them.
        file: The name of the file in the directory, "" for what is watched itself;
            None if that is gone.
        deleted: Whether the name disappeared.
    """

    directory: str | None
    file: str | None
    deleted: bool


class Inotify:
    """
    One inotify instance, which is closed when nobody refers to it any more.

    It is not closed before: that takes the kernel milliseconds (15 ms were
    measured), and a waiter would have to wait for that, too.

    Attributes:
        fd: Becomes readable when there are events.
    """

    def __init__(self, libc: ctypes.CDLL, fd: int) -> None:
        self.fd = fd
        self._libc = libc
        self._pid = os.getpid()
        # One directory may be known by several paths; the kernel knows one.
        self._directories: dict[int, set[str]] = {}
        self._watches: dict[str, int] = {}
        # At exit, daemon threads may still wait for it; then the kernel closes it.
        weakref.finalize(self, os.close, fd).atexit = False

    def __len__(self) -> int:
        """Return the number of watched directories."""
        return len(self._watches)

    def add(self, directory: str, events: int = NAMES) -> bool:
        """
        Watch a directory or a file.

        Args:
            directory: Its path.
            events: The kinds of events: `NAMES`, `WRITES`, or both.

        Returns:
            False if it is not there, or the kernel has no more watches to give.
        """
        name = os.fsencode(directory)
        watch = self._libc.inotify_add_watch(self.fd, name, events)
        if watch < 0:
            return False
        self._directories.setdefault(watch, set()).add(directory)
        self._watches[directory] = watch
        return True

    def remove(self, directory: str) -> None:
        """Watch a directory no more."""
        watch = self._watches.pop(directory, None)
        if watch is None:
            return
        self._directories[watch].discard(directory)
        if not self._directories[watch]:
            del self._directories[watch]
            # A forked child shares the instance, and must leave it to its parent.
            if os.getpid() == self._pid:
                self._libc.inotify_rm_watch(self.fd, watch)

    def read(self) -> Iterator[DirectoryEvent]:
        """Yield the events since the last call; never waits."""
        with suppress(BlockingIOError):
            while True:
                data = os.read(self.fd, _BUFFER)
                place = 0
                while place < len(data):
                    watch, mask, _, length = _HEADER.unpack_from(data, place)
                    place += _HEADER.size
                    raw = data[place : place + length].rstrip(b"\0")
                    place += length
                    if mask & _IN_Q_OVERFLOW:
                        yield DirectoryEvent(None, None, deleted=False)
                    elif watch in self._directories:
                        yield from self._events(watch, mask, os.fsdecode(raw))

    def _events(self, watch: int, mask: int, file: str) -> Iterator[DirectoryEvent]:
        for directory in self._directories[watch]:
            if mask & (_IN_IGNORED | _IN_UNMOUNT):
                self._watches.pop(directory, None)
                yield DirectoryEvent(directory, None, deleted=True)
            else:
                yield DirectoryEvent(directory, file, deleted=bool(mask & _IN_DELETE))
        if mask & (_IN_IGNORED | _IN_UNMOUNT):
            del self._directories[watch]


def open_inotify() -> Inotify | None:
    """Return a new instance; None where there is none, or no more."""
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "inotify_init1"):
        return None  # pragma: no cover - not on Linux
    # IN_NONBLOCK and IN_CLOEXEC are these flags of open(2), by definition.
    fd = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    return Inotify(libc, fd) if fd >= 0 else None
