"""
`Log`: how much of a database's write-ahead log is known to be durable.

A row can be seen before its commit is on the disk: a writer that is killed between the
two leaves a whole commit in the log, which the next process to recover it shows. Were
it shown to anyone, a power cut could take it back. So each handle keeps the highest
number that is *known durable*. It rises with its own commits, which SQLite syncs, and
with a sync of the log that begins after a row was read.
"""

from __future__ import annotations

import os
from typing import Final, final

import apsw

from dp_backends._system import fsync, fsync_directory
from dp_core import BackendUnavailableError

__all__ = ["Log"]

_CHECKPOINT: Final = "PRAGMA wal_checkpoint(TRUNCATE)"


@final
class Log:
    """
    Knowledge of one handle about the log of its database.

    Attributes:
        durable: The highest number that is known durable.

    Only the log is opened here: SQLite's locks are on the database and the ``-shm``
    file, and a process that closes a descriptor of one of these loses them all
    (fcntl(2)).
    """

    def __init__(self, database: str) -> None:
        self._path = f"{database}-wal"
        self._directory = os.path.dirname(database)
        self.durable = 0
        # The inode and device number of the one that the connection has opened, and of
        # the one whose name is durable, too.
        self._opened: tuple[int, ...] | None = None
        self._named: tuple[int, ...] | None = None
        self._is_doubtful = False

    def opened(self, database: apsw.Connection, log: tuple[int, ...] | None) -> None:
        """
        Know nothing of a database that was just opened.

        Args:
            database: A connection with it.
            log: The inode and device number of its log.

        Raises:
            apsw.Error: The disk has failed before, and it cannot be mended yet.
            OSError: The disk fails.
        """
        self.durable, self._named, self._opened = 0, None, log
        if self._is_doubtful:
            # A failed fsync leaves pages that look clean and are not on the disk
            # (Rebello et al., ATC 2020): another one would not help. So what they
            # say is written somewhere else: to the database. What is left of them in
            # the log must not come back after a power cut, and so is cut off durably.
            ((is_busy, _, _),) = database.execute(_CHECKPOINT).fetchall()
            if is_busy:
                raise apsw.BusyError("others read the log, or write it")
            self._sync()
            self._is_doubtful = False

    def make_durable(self, number: int) -> None:
        """
        Return when what was read up to a number is durable, at once if it is known.

        Raises:
            BackendUnavailableError: It is in a log that was removed.
            OSError: The disk fails.
        """
        if number <= self.durable:
            return
        try:
            self._sync()
        except OSError:
            self.doubt()
            raise
        self.durable = number

    def committed(self, number: int) -> None:
        """
        Know that a commit of this handle is durable, and all before it.

        Args:
            number: The number of its last change.

        Raises:
            OSError: The disk fails.
        """
        if self._opened is not None:
            self._name(self._opened)
        self.durable = number

    def doubt(self) -> None:
        """Know nothing: the disk has failed."""
        self.durable, self._named, self._is_doubtful = 0, None, True

    def _sync(self) -> None:
        # It is there as long as anybody has the database open, and this handle has.
        fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            log = os.fstat(fd)[1:3]
            if log != self._opened:
                # What was read is in a file without a name.
                raise BackendUnavailableError(
                    f"{self._path} was removed or replaced while it was in use"
                )
            fsync(fd)
        finally:
            os.close(fd)
        self._name(log)

    def _name(self, log: tuple[int, ...]) -> None:
        """Make the name of a log durable."""
        if log != self._named:
            fsync_directory(self._directory)
            self._named = log
