"""
`Server`: how to connect to the server of a store, and what it must be like.

A pooler in transaction mode (PgBouncer's ``pool_mode = transaction``) hands each
transaction to another session of the server. Then what is set, or prepared, in one is
lost in the next, or is found by somebody else. It is known by the number of the
session's process, which the server says and the pooler does not know.
"""

from __future__ import annotations

from typing import Any, Final, final

import psycopg
from psycopg import Connection
from psycopg.conninfo import make_conninfo
from psycopg.pq.abc import PGresult

from dp_backends.sql._sessions import Failure
from dp_backends.sql.postgresql._failures import (
    explained,
    not_connected,
    not_possible,
)
from dp_backends.sql.postgresql._queries import register_arrays
from dp_backends.sql.postgresql._url import PostgresUrl
from dp_core import BackendUnavailableError

__all__ = ["Server", "checked", "run"]

_OLDEST: Final = 130000
"""Transactions have numbers of 64 bits since PostgreSQL 13."""

_ASK: Final = (
    "SELECT pg_backend_pid(), current_setting('fsync'), "
    "current_setting('synchronous_commit'), "
    "current_setting('server_version_num')::int, pg_is_in_recovery()"
)

# What a role, a database or a server may have set otherwise. One who is stopped in the
# middle of a transaction holds others up only for so long.
_SETTINGS: Final = {
    "statement_timeout": "0",
    "lock_timeout": "'10s'",
    "idle_in_transaction_session_timeout": "'10s'",
}
# Of statements that are a transaction by themselves.
_DEFAULTS: Final = {
    "default_transaction_isolation": "'read committed'",
    "default_transaction_read_only": "off",
}
# Statements are prepared when the store is new, and the server keeps the plans that it
# made then: for a small table it would read all of it, also when it has grown.
_PLANS: Final = {"enable_seqscan": "off", "jit": "off"}
_BEGIN: Final = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"


@final
class OwnConnection(Connection[tuple[Any, ...]]):
    """
    A connection that need not be closed, as a handle need not.

    The one of libpq, in it, is closed with it; not by a child of the process that made
    it, which must not say farewell to the server.
    """

    def __del__(self, _: Any = None) -> None:
        """Warn of nothing."""


@final
class Server:
    """
    The server of one store, for all sessions of a handle.

    Attributes:
        url: Names the store.
        is_pooled: Whether a pooler is in between, as far as is known.
        is_standby: Whether the server was a standby at the last connect.
        begin: Begins a transaction that writes, and is durable once committed.
    """

    def __init__(self, url: PostgresUrl) -> None:
        self.url: Final = url
        self.is_pooled = self.is_standby = False
        self.begin = _BEGIN.encode()

    def connect(self) -> Connection:
        """
        Return a new connection.

        Raises:
            Failure: There is none to be had, or the server is not fit.
        """
        failure: Failure | None = None
        try:
            connection = OwnConnection.connect(
                make_conninfo(**self.url.parameters),
                autocommit=True,
                prepare_threshold=None,
            )
        except OSError as error:
            failure = not_possible(self.url.location, error)
        except psycopg.Error as error:
            failure = not_connected(self.url.location, error)
        if failure is not None:
            # Without that error, in whose frames the password is.
            raise failure
        try:
            with explained(self.url.location, "connect"):
                self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: Connection) -> None:
        ((pid, fsync, synchronous, version, self.is_standby),) = connection.execute(
            _ASK
        ).fetchall()
        if version < _OLDEST:
            self._refuse(
                "the server is older than PostgreSQL 13; upgrade it, or name another"
            )
        if fsync != "on":
            self._refuse(
                "the server runs with fsync=off, and would lose promises in a power "
                "cut; set fsync to on in its postgresql.conf"
            )
        # It waits for other servers, too, before it says that something is durable.
        if synchronous == "remote_apply":
            settings = dict(_SETTINGS)
        else:
            settings = {"synchronous_commit": "on", **_SETTINGS}
        self.is_pooled |= pid != connection.info.backend_pid
        if self.is_pooled:
            local = "".join(f"; SET LOCAL {n} = {v}" for n, v in settings.items())
            self.begin = (_BEGIN + local).encode()
        else:
            settings |= _PLANS | _DEFAULTS
            run(connection, "; ".join(f"SET {n} = {v}" for n, v in settings.items()))
            self.begin = _BEGIN.encode()
        register_arrays(connection)

    def _refuse(self, reason: str) -> None:
        error = BackendUnavailableError(f"cannot use {self.url.location}: {reason}")
        raise Failure(error, breaks=True)


def run(connection: Connection, statement: str | bytes) -> None:
    """
    Run a statement without parameters and rows, at a third of the usual costs.

    Raises:
        psycopg.Error: It failed.
    """
    command = statement if isinstance(statement, bytes) else statement.encode()
    result = connection.pgconn.exec_(command)
    checked(result)
    if command == b"COMMIT" and result.command_status != command:
        raise psycopg.errors.InFailedSqlTransaction("nothing was committed")


def checked(result: PGresult) -> None:
    """
    Raise the error that a result is, if it is one.

    Raises:
        psycopg.Error: The statement failed.
    """
    if result.status not in _FINE:
        error = psycopg.errors.error_from_result(result, encoding="utf-8")
        if error.sqlstate is None:
            # Not from the server: the connection is lost.
            raise psycopg.OperationalError(str(error))
        raise error


_FINE: Final = (psycopg.pq.ExecStatus.COMMAND_OK, psycopg.pq.ExecStatus.TUPLES_OK)
