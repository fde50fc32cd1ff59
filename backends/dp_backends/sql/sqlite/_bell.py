"""
`Bell`: a file beside the database that is written to after each commit.

The log's own event comes too early: with a commit that takes 400 ms, inotify reported
the write after 1 ms, when the row could not be seen, and nothing after that. So each
writer rings after its commit has returned: a byte, without a sync, whose writing the
kernel reports to all who wait. For a writer that died in between there is the event
of the log, after which one looks again and again for a moment, and a slow look at last.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Final, final

from dp_backends._system import Inotify, open_inotify
from dp_backends.sql._waits import Heard

__all__ = ["Bell", "BellListener"]

_REPORTED: Final = (1.0, 5.0)
"""First and longest pause between looks where the kernel reports, in seconds."""

_ALONE: Final = (0.005, 0.1)
"""The same where it does not: no inotify, or no watch left."""


@final
class Bell:
    """The bell of one database, for a writer."""

    def __init__(self, database: str) -> None:
        self._path = f"{database}-bell"
        self._fd: int | None = None

    def ring(self) -> None:
        """Let all who wait look; where that fails, they look later."""
        with suppress(OSError):
            if self._fd is None or not os.fstat(self._fd).st_nlink:
                self.close()
                self._fd = os.open(
                    self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600
                )
            os.pwrite(self._fd, b".", 0)

    def close(self) -> None:
        """Close the file."""
        fd, self._fd = self._fd, None
        if fd is not None:
            with suppress(OSError):
                os.close(fd)


@final
class BellListener:
    """One who hears the bell of one database, see `Listener`."""

    def __init__(self, database: str) -> None:
        self._bell = os.path.basename(database) + "-bell"
        self._files = (os.path.basename(database), os.path.basename(database) + "-wal")
        self._directory = os.path.dirname(database)
        self._inotify: Inotify | None = open_inotify(writes=True)
        self._is_watched = self._watch()

    def _watch(self) -> bool:
        return self._inotify is not None and self._inotify.add(self._directory)

    @property
    def fd(self) -> int | None:
        return None if self._inotify is None else self._inotify.fd

    @property
    def pauses(self) -> tuple[float, float]:
        return _REPORTED if self._is_watched else _ALONE

    def read(self) -> Heard:
        heard = Heard.NOTHING
        if self._inotify is None:
            return heard
        for event in self._inotify.read():
            if event.file is None:
                # Events were dropped, or the directory is gone.
                self._is_watched = event.directory is None
                heard = Heard.RUNG
            elif event.file == self._bell:
                heard = Heard.RUNG
            elif event.file in self._files and heard is Heard.NOTHING:
                heard = Heard.PERHAPS
        if not self._is_watched:
            self._is_watched = self._watch()
        return heard

    def close(self) -> None:
        self._inotify = None
