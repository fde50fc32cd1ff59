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
import time
from contextlib import suppress
from typing import Final, final

import anyio

from dp_backends._system import NAMES, WRITES, Inotify, open_inotify
from dp_backends.sql._waits import Heard

__all__ = ["Bell", "BellListener", "open_bell"]

_REPORTED: Final = (1.0, 5.0)
"""First and longest pause between looks where the kernel reports, in seconds."""

_ALONE: Final = (0.005, 0.1)
"""The same where it does not: no inotify, or no watch left."""

_QUIET: Final = 0.1
"""Seconds for which the log is not listened to after a ring."""

_OPEN: Final = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


def open_bell(database: str) -> int:
    """
    Return a descriptor of a database's bell, which is made if there is none.

    Raises:
        OSError: It cannot be made, or opened.
    """
    return os.open(f"{database}-bell", _OPEN, 0o600)


@final
class Bell:
    """The bell of one database, for a writer."""

    def __init__(self, database: str) -> None:
        self._database = database
        self._fd: int | None = None

    def hang(self) -> None:
        """Make the file, if that is possible, so that others can listen."""
        with suppress(OSError):
            os.close(open_bell(self._database))

    def ring(self) -> None:
        """Let all who wait look; where that fails, they look later."""
        try:
            if self._fd is None or not os.fstat(self._fd).st_nlink:
                self.close()
                self._fd = open_bell(self._database)
            os.pwrite(self._fd, b".", 0)
        except OSError:
            # Not by a context, which each settle would pay for.
            pass

    def close(self) -> None:
        """Close the file."""
        fd, self._fd = self._fd, None
        if fd is not None:
            with suppress(OSError):
                os.close(fd)


@final
class BellListener:
    """
    One who hears the bell of one database, see `Listener`.

    As long as the bell rings, the log is not listened to, which is written to many
    times for one commit.
    """

    def __init__(self, database: str) -> None:
        name = os.path.basename(database)
        self._files = (name, f"{name}-wal")
        self._directory = os.path.dirname(database)
        self._bell = f"{database}-bell"
        self._inotify: Inotify | None = open_inotify()
        self._hears_bell = self._hears_log = False
        # Time to listen to the log again, after a ring.
        self._quiet_at: float | None = None
        self._listen()

    @property
    def pauses(self) -> tuple[float, float]:
        return _REPORTED if self._hears_bell else _ALONE

    @property
    def pause(self) -> float | None:
        if self._quiet_at is None:
            return None
        return max(0.0, self._quiet_at - time.monotonic())

    def read(self) -> Heard:
        heard = self._events()
        if heard is Heard.RUNG and self._hears_bell:
            self._mute_log()
        elif self._quiet_at is not None and time.monotonic() >= self._quiet_at:
            self._quiet_at = None
            # What a writer that died has written meanwhile was not heard.
            heard = Heard.RUNG
        heard_bell = self._hears_bell
        self._listen()
        if self._hears_bell and not heard_bell:
            # It may have rung before.
            heard = Heard.RUNG
        return heard

    async def wait(self) -> None:
        if self._inotify is None:
            await anyio.sleep_forever()
        else:
            await anyio.wait_readable(self._inotify.fd)

    def close(self) -> None:
        self._inotify = None

    def _events(self) -> Heard:
        heard = Heard.NOTHING
        for event in self._inotify.read() if self._inotify is not None else ():
            if event.directory == self._directory and event.file is not None:
                if event.file in self._files and heard is Heard.NOTHING:
                    heard = Heard.PERHAPS
                continue
            heard = Heard.RUNG
            if event.file is None:
                # Gone, or events were dropped.
                self._hears_bell &= event.directory != self._bell
                self._hears_log &= event.directory != self._directory
        return heard

    def _listen(self) -> None:
        if self._inotify is None:
            return
        # It is hung by who opens the database, and knows that it is one of ours.
        if not self._hears_bell and os.path.exists(self._bell):
            self._hears_bell = self._inotify.add(self._bell, WRITES)
        if not self._hears_log and self._quiet_at is None:
            self._hears_log = self._inotify.add(self._directory, NAMES | WRITES)

    def _mute_log(self) -> None:
        if self._inotify is not None and self._hears_log:
            self._inotify.remove(self._directory)
            self._hears_log = False
            self._quiet_at = time.monotonic() + _QUIET
