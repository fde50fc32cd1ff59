"""`SqliteSession`: a connection with an SQLite database, whose rows are durable."""

from __future__ import annotations

import itertools
import os
import time
from array import array
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from random import uniform
from threading import Event
from typing import Any, Final, TypeAlias, cast

import apsw

from dp_backends._working import Rounds
from dp_backends.sql._rows import Change, PromiseRow
from dp_backends.sql._sessions import Failure, SqlSession, Values
from dp_backends.sql.sqlite._bell import Bell
from dp_backends.sql.sqlite._database import open_database
from dp_backends.sql.sqlite._dialect import CHANGED, HIGHEST, SQL, UPSERTS
from dp_backends.sql.sqlite._failures import ERRORS, fail
from dp_backends.sql.sqlite._log import Log
from dp_core import BackendUnavailableError
from dp_core.backend import now

__all__ = ["SqliteSession"]

_BUSY: Final = 60.0
"""Seconds to wait for another process that locks the database."""


class SqliteSession(SqlSession):
    """
    A connection, opened when there is a database, or one is to be made.

    Attributes:
        connection_number: The number of the last connection, among those of this
            process.

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
        self._paths = (path, f"{path}-wal", f"{path}-shm")
        self._database: apsw.Connection | None = None
        self.connection_number = 0
        self._files: tuple[_Identity, ...] = (None,)
        self._waits_since = 0.0
        # SQLite's, after the last commit: nobody else has changed anything since, and
        # the number of the last change is known.
        self._version: int | None = None
        # Numbers of the transaction: of the last change before, and of its own.
        self._highest = self._written = 0

    # Being open -------------------------------------------------------------

    def is_made(self) -> bool:
        try:
            return self._opened(make=False) is not None
        except ERRORS as error:
            fail(error, self._path, "open")

    def _opened(self, *, make: bool) -> apsw.Connection | None:
        if self._database is not None and _identity(self._path) != self._files[0]:
            self.close()
        rounds = Rounds()
        while self._database is None:
            before = _identity(self._path)
            self._database = open_database(self._path, self._wait, make=make)
            if self._database is None:
                break
            files = tuple(map(_identity, self._paths))
            if before not in (None, files[0]):
                # Replaced just now: which one is open?
                self.close()
                if rounds.are_futile(None):
                    raise Failure(BackendUnavailableError(_REPLACED % self._path))
                continue
            self._files, self._version = files, None
            self.connection_number = next(_CONNECTIONS)
            self._bell.hang()
            try:
                self._log.opened(self._database, files[1])
            except BaseException:
                self.close()
                raise
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
        try:
            return self._connection.execute(statement, values).fetchall()
        except ERRORS as error:
            fail(error, self._path, "read")

    def many(self, statement: str, rows: Sequence[Values]) -> Iterable[Values]:
        try:
            return self._connection.executemany(statement, rows).fetchall()
        except ERRORS as error:
            fail(error, self._path, "write")

    def write_rows(self, rows: Sequence[PromiseRow]) -> Iterable[Values]:
        try:
            return self._upsert(rows)
        except ERRORS as error:
            fail(error, self._path, "write")

    def _upsert(self, rows: Sequence[PromiseRow]) -> Iterable[Values]:
        database, done, count = self._connection, 0, 0
        for size, statement in UPSERTS.items():
            while len(rows) - done >= size:
                some = rows[done : done + size]
                database.execute(statement, tuple(itertools.chain.from_iterable(some)))
                done += size
                count += database.changes()
        if count < len(rows):
            # Somebody was faster. Numbers from here on are those of this transaction.
            found = database.execute(CHANGED, (rows[0].change - 1, len(rows)))
            ids = {id for _, id in found}
            rows = [row for row in rows if row.id in ids]
        return [(row.id, row.place, row.generation) for row in rows]

    def highest(self) -> int:
        """Return the number of the last change."""
        ((highest,),) = self.all(HIGHEST)
        return int(highest)

    def numbered(self, rows: Sequence[PromiseRow]) -> Sequence[PromiseRow]:
        return [
            PromiseRow(
                row.id,
                number if row.place is None else row.place,
                row.version,
                number if row.generation is None else row.generation,
                number,
                *row[5:],
            )
            for number, row in enumerate(rows, self._highest + 1)
        ]

    def write(self, changes: Sequence[Change]) -> dict[bytes, PromiseRow]:
        written = super().write(changes)
        if written:
            self._written = self._highest = max(r.change for r in written.values())
        return written

    @property
    def _connection(self) -> apsw.Connection:
        return cast("apsw.Connection", self._database)

    # Transactions -----------------------------------------------------------

    def begin(self) -> None:
        try:
            if self._database is None:
                self._opened(make=True)
            self._connection.execute("BEGIN IMMEDIATE")
            if self._version != self._connection.data_version():
                ((self._highest,),) = self._connection.execute(HIGHEST)
        except ERRORS as error:
            fail(error, self._path, "write")
        self._version, self._written = None, 0

    def commit(self) -> None:
        try:
            self._connection.execute("COMMIT")
            # Without a change there is nothing to commit, and SQLite syncs nothing.
            if self._written:
                self._check_place()
                self._log.committed(self._written)
            self._version = self._connection.data_version()
        except Failure:
            self._log.doubt()
            raise
        except ERRORS as error:
            try:
                fail(error, self._path, "commit")
            except Failure as failure:
                if failure.is_unknown:
                    self._log.doubt()
                raise

    def _check_place(self) -> None:
        """Make sure that nobody has removed or replaced a file of the database."""
        if self._files != tuple(map(_identity, self._paths)):
            reason = f"{self._path}, or its -wal or -shm, was removed or replaced"
            error = BackendUnavailableError(f"{reason} while it was in use")
            raise Failure(error, is_unknown=True, is_passing=True)

    def rollback(self) -> None:
        if self._database is not None and self._database.in_transaction:
            with suppress(apsw.Error):
                self._database.execute("ROLLBACK")

    def make_durable(self, rows: Collection[PromiseRow]) -> None:
        number = 0
        for row in rows:
            if row.change is not None and row.change > number:
                number = row.change
        try:
            self._log.make_durable(number)
        except ERRORS as error:
            fail(error, self._path, "read")

    def ring(self) -> None:
        self._bell.ring()


_REPLACED: Final = (
    "%s is another file at each look; look what replaces it, and whether its file "
    "system has inode numbers that stay"
)

_CONNECTIONS: Final = itertools.count(1)

_Identity: TypeAlias = tuple[int, ...] | None
"""The inode and device number of a file; None if there is none."""


def _identity(path: str) -> _Identity:
    try:
        # By their places: names of results cost as much as the call.
        return os.stat(path)[1:3]
    except FileNotFoundError:
        return None
