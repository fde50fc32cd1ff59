"""`PostgresSession`: a connection with a PostgreSQL server."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from itertools import count
from threading import Event
from typing import Any, Final, cast

import psycopg
from psycopg import errors

from dp_backends.sql._rows import DISPOSED, Change, PromiseRow, moment
from dp_backends.sql._sessions import Failure, SqlSession, Values
from dp_backends.sql.postgresql._clock import ServerClock
from dp_backends.sql.postgresql._connecting import Server, run
from dp_backends.sql.postgresql._failures import POOLED, explained, state_of
from dp_backends.sql.postgresql._prepared import Prepared
from dp_backends.sql.postgresql._queries import Big, Bytes, Column, Queries
from dp_backends.sql.postgresql._schema import Schema
from dp_core import BackendError

__all__ = ["PostgresSession"]

_BYTES: Final = 32 * 1024 * 1024
"""The most to write by one statement; a server takes less than 1 GiB."""

_NUMBERS: Final = count(1)


class PostgresSession(SqlSession):
    """
    A connection. What others have committed is durable before it is seen.

    A batch takes as few round trips as it can. Rows without tags are written by one
    statement, which is a transaction by itself; the answer to a ring is read when the
    next statement is run.

    Attributes:
        number: A number that no other session of this process has.
        queries: The statements.

    Args:
        server: The server.
        queries: The statements.
        clock: Is told the time of the server.
        closing: Is set when to give up waiting for others.
    """

    def __init__(
        self, server: Server, queries: Queries, clock: ServerClock, closing: Event
    ) -> None:
        self.number = next(_NUMBERS)
        self.queries = queries
        self.sql = queries.sql
        self._server = server
        self._clock = clock
        self._connection = server.connect()
        self._cursor = self._connection.cursor(binary=True)
        self._prepared = Prepared(self._connection, is_pooled=server.is_pooled)
        self._schema = Schema(server, queries, self._connection)
        self._is_made = False
        self._is_ready = False
        # An answer is to be read.
        self._is_ringing = False
        # Between `begin` and `commit`: a transaction of the server, or done without.
        self._is_begun = False
        self._has_committed = False

    @contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        try:
            with explained(self._server.url.location, doing):
                if self._is_ringing:
                    self._hear()
                yield
        except BackendError as error:
            raise Failure(error, breaks=True) from error.__cause__
        except Failure as failure:
            # Some of it was done: only those whose calls it was may not know.
            failure.is_unknown |= self._has_committed
            if state_of(failure) in POOLED:
                self._server.is_pooled = True
            raise

    # Being there ------------------------------------------------------------

    def is_made(self) -> bool:
        if not self._is_made:
            with self._explained("open the store"):
                self._is_made = self._schema.is_made()
        return self._is_made

    def close(self) -> None:
        with suppress(psycopg.Error):
            self._connection.close()

    # Reading ----------------------------------------------------------------

    def found(self, statement: str, value: Any) -> tuple[datetime, Sequence[Values]]:
        (_, time, *_), *rows = self._run(self.queries.timed[statement], (value,))
        return self._said(time), rows

    def now(self) -> datetime:
        return self._said(self.all(self.queries.time)[0][0])

    def _said(self, microseconds: int) -> datetime:
        time = cast("datetime", moment(microseconds))
        self._clock.says(time)
        return time

    def texts(self, values: Collection[bytes]) -> Any:
        return Bytes(tuple(values))

    def numbers(self, values: Collection[int]) -> Any:
        return Big(tuple(values))

    def all(self, statement: str, *values: Any) -> Sequence[Values]:
        with self._explained("read"):
            cursor = self._cursor.execute(statement, values)
            return cursor.fetchall() if cursor.description else ()

    def _run(
        self, statement: str, values: Sequence[Column | bytes]
    ) -> Sequence[Values]:
        with self._explained("read"):
            return self._prepared.run(statement, values)

    def changed(self, end: str, running: str) -> Sequence[Values]:
        """Return what `Queries.changed` asks for."""
        return self._run(self.queries.changed, (end.encode(), running.encode()))

    # Writing ----------------------------------------------------------------

    def many(self, statement: str, rows: Sequence[Values]) -> Iterable[Values]:
        found: list[Values] = []
        with self._explained("write" if self._is_begun else "commit"):
            for some in _by_size(rows):
                columns = self.queries.columns(statement, some)
                found += self._prepared.run(statement, columns)
                self._has_committed = not self._is_begun
        return found

    def write(self, changes: Sequence[Change]) -> dict[bytes, PromiseRow]:
        if not self._is_begun and (
            self._server.is_pooled or any(map(_needs_others, changes))
        ):
            with self._explained("write"):
                run(self._connection, self._server.begin)
                self._is_begun = True
        return super().write(changes)

    def numbered(self, rows: Sequence[PromiseRow]) -> Sequence[PromiseRow]:
        return rows

    def begin(self) -> None:
        with self._explained("write"):
            if self._server.is_standby:
                # It answers to BEGIN as if it had never heard of READ WRITE.
                raise errors.ReadOnlySqlTransaction
            if not self._is_ready:
                self._schema.make()
                self._is_made = self._is_ready = True
        self._has_committed = False

    def commit(self) -> None:
        if self._is_begun:
            with self._explained("commit"):
                run(self._connection, b"COMMIT")
        self._is_begun = self._has_committed = False

    def rollback(self) -> None:
        if self._is_begun:
            with suppress(psycopg.Error):
                run(self._connection, b"ROLLBACK")
        self._is_begun = self._has_committed = False

    def make_durable(self, rows: Collection[PromiseRow]) -> None:
        """Do nothing: a server shows what is durable."""

    def ring(self) -> None:
        # Outside of the transaction, where it would let only one commit at a time.
        with suppress(psycopg.Error):
            self._connection.pgconn.send_query(self.queries.ring)
            self._is_ringing = True

    def _hear(self) -> None:
        """Read the answer to a ring; if that says that it failed, nobody minds."""
        self._is_ringing = False
        while self._connection.pgconn.get_result() is not None:
            pass


def _needs_others(change: Change) -> bool:
    """Tell whether a change needs other statements: for tags, or to forget others."""
    before, after = change
    return bool(before.terms or after.terms or after.state == DISPOSED)


def _by_size(rows: Sequence[Values]) -> Iterator[Sequence[Values]]:
    """Yield rows in parts that a server takes."""
    if len(rows) > 1 and sum(map(_size_of, rows)) > _BYTES:
        half = len(rows) // 2
        yield from _by_size(rows[:half])
        yield from _by_size(rows[half:])
    else:
        yield rows


def _size_of(row: Values) -> int:
    return sum([len(value) for value in row if isinstance(value, bytes)])
