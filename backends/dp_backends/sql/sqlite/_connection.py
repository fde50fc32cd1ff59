"""`SqliteSession`: a connection with an SQLite database, whose rows are durable."""

from __future__ import annotations

import os
import time
from array import array
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from random import uniform
from threading import Event
from typing import Any, Final, cast

import apsw

from dp_backends.sql._rows import PromiseRow
from dp_backends.sql._sessions import Failure, SqlSession, Values
from dp_backends.sql.sqlite._bell import Bell
from dp_backends.sql.sqlite._database import open_database
from dp_backends.sql.sqlite._dialect import SQL
from dp_backends.sql.sqlite._failures import explained
from dp_backends.sql.sqlite._log import Log
from dp_core.backend import now

__all__ = ["SqliteSession"]

_BUSY: Final = 60.0
"""Seconds to wait for another process that locks the database."""


class SqliteSession(SqlSession):
    """
    A connection, opened when there is a database, or one is to be made.

    Attributes:
        identity: The device and inode number of the file; None while it is not open.

    Args:
        path: The database, absolute.
        log: What is known of its write-ahead log; outlives the session.
        bell: The bell to ring.
        closing: Is set when to give up waiting for others.
    """

    closes_at_fork = True
    sql = SQL

    def __init__(self, path: str, log: Log, bell: Bell, closing: Event) -> None:
        self._path = path
        self._log = log
        self._bell = bell
        self._closing = closing
        self._database: apsw.Connection | None = None
        self.identity: tuple[int, int] | None = None
        self._waits_since = 0.0
        self._highest = 0

    # Being open -------------------------------------------------------------

    def is_made(self) -> bool:
        with explained(self._path, "open"):
            return self._opened(make=False) is not None

    def _opened(self, *, make: bool) -> apsw.Connection | None:
        identity = _identity(self._path)
        if self._database is not None and identity != self.identity:
            # Removed or replaced: what is written to the old one would be lost.
            self.close()
        if self._database is None:
            self._database = open_database(self._path, self._wait, make=make)
            if self._database is not None:
                self.identity = _identity(self._path)
                self._log.opened(self._database)
        return self._database

    def close(self) -> None:
        database, self._database = self._database, None
        if database is not None:
            with suppress(apsw.Error):
                database.close()

    def _wait(self, count: int) -> bool:
        """Wait a little for another process; False if that is enough."""
        if not count:
            self._waits_since = time.monotonic()
        if self._closing.is_set() or time.monotonic() - self._waits_since > _BUSY:
            return False
        time.sleep(uniform(0, 0.001))  # noqa: S311 - no secret
        return True

    # Statements -------------------------------------------------------------

    def now(self) -> datetime:
        return now()

    def texts(self, values: Collection[bytes]) -> Any:
        return apsw.carray(tuple(values))

    def numbers(self, values: Collection[int]) -> Any:
        return apsw.carray(array("q", values))

    def all(self, statement: str, *values: Any) -> Sequence[Values]:
        with explained(self._path, "read"):
            return self._connection.execute(statement, values).fetchall()

    def many(self, statement: str, rows: Sequence[Values]) -> Iterable[Values]:
        with explained(self._path, "write"):
            return self._connection.executemany(statement, rows).fetchall()

    def highest(self) -> int:
        """Return the number of the last change."""
        ((highest,),) = self.all("SELECT max(change) FROM promises")
        return int(highest or 0)

    def numbered(self, rows: Sequence[PromiseRow]) -> Sequence[PromiseRow]:
        highest = self.highest()
        self._highest = highest + len(rows)
        return [
            PromiseRow(
                row.id,
                number if row.place is None else row.place,
                row.version,
                number if row.generation is None else row.generation,
                number,
                *row[5:],
            )
            for number, row in enumerate(rows, highest + 1)
        ]

    @property
    def _connection(self) -> apsw.Connection:
        return cast("apsw.Connection", self._database)

    # Transactions -----------------------------------------------------------

    def begin(self) -> None:
        with explained(self._path, "write"):
            self._opened(make=True)
            self._connection.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        try:
            with explained(self._path, "commit"):
                self._connection.execute("COMMIT")
                self._log.committed(self._highest)
        except Failure as failure:
            if failure.is_unknown:
                self._log.doubt()
            raise

    def rollback(self) -> None:
        if self._database is not None and self._database.in_transaction:
            with suppress(apsw.Error):
                self._database.execute("ROLLBACK")

    def make_durable(self, rows: Collection[PromiseRow]) -> None:
        with explained(self._path, "read"):
            self._log.make_durable(max([row.change or 0 for row in rows], default=0))

    def ring(self) -> None:
        self._bell.ring()


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino
