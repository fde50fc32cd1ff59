"""`check_server`: a PostgreSQL server and the schema of a store, only read."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from secrets import token_hex
from typing import Any, Final, TypeAlias, cast

import psycopg
from psycopg import Connection

from dp_backends.sql._rows import moment
from dp_backends.sql._sessions import Failure
from dp_backends.sql.postgresql._connecting import Server
from dp_backends.sql.postgresql._failures import explained
from dp_backends.sql.postgresql._queries import Queries
from dp_backends.sql.postgresql._schema import Schema
from dp_backends.sql.postgresql._url import PostgresUrl
from dp_core import BackendError
from dp_core.backend import Check, compare_clocks, now, quoted

__all__ = ["check_server"]

_CONNECT_SECONDS: Final = "5"
_HEARING_SECONDS: Final = 3.0

_Row: TypeAlias = tuple[Any, ...]

_FACTS: Final = (
    "SELECT current_setting('server_version'), current_user, current_database(), "
    "current_setting('full_page_writes'), current_setting('synchronous_commit')"
)
# To others than its owner and pg_monitor, the state of a replica is NULL.
_REPLICAS: Final = (
    "SELECT count(*), count(*) FILTER (WHERE sync_state IN ('sync', 'quorum')), "
    "count(sync_state) FROM pg_catalog.pg_stat_replication"
)
_MAY_MAKE: Final = "SELECT has_database_privilege(current_database(), 'CREATE')"
_HAS_SCHEMA: Final = (
    "SELECT has_schema_privilege(oid, 'CREATE') FROM pg_catalog.pg_namespace "
    "WHERE nspname = %s"
)
_MAY_USE: Final = "SELECT has_schema_privilege(%s, 'USAGE')"
_LACKING: Final = """
SELECT c.relname FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND (
    c.relkind = 'r' AND NOT (has_table_privilege(c.oid, 'SELECT')
        AND has_table_privilege(c.oid, 'INSERT')
        AND has_table_privilege(c.oid, 'UPDATE')
        AND has_table_privilege(c.oid, 'DELETE'))
    OR c.relkind = 'S' AND NOT has_sequence_privilege(c.oid, 'USAGE'))
ORDER BY 1
"""


def check_server(url: PostgresUrl) -> Iterator[Check]:
    """Yield what is found about the server, and about the store in its schema."""
    yield Check("driver", "ok", f"psycopg {psycopg.__version__}, libpq {_libpq()}")
    patient = {**url.parameters, "connect_timeout": _CONNECT_SECONDS}
    server = Server(replace(url, parameters=patient))
    begun = time.monotonic()
    try:
        connection = server.connect()
    except Failure as failure:
        yield Check.failed(
            "server", failure.error, "look whether the server runs, and at its log"
        )
        return
    took = time.monotonic() - begun
    with closing(connection):
        for name, check in _CHECKS.items():
            try:
                with explained(url.location, "look"):
                    yield from check(server, connection, took)
            except Failure as failure:
                yield Check.failed(name, failure.error, "look at the server's log")
                if connection.closed:
                    return
            except BackendError as error:
                yield Check.failed(name, error, "look at the server's log")


def _libpq() -> str:
    number = psycopg.pq.version()
    return f"{number // 10_000}.{number % 10_000}"


def _one(connection: Connection, statement: str, *values: object) -> _Row:
    return connection.execute(statement, values).fetchone() or ()


def _facts(server: Server, connection: Connection, took: float) -> Iterator[Check]:
    version, user, database, pages, synchronous = _one(connection, _FACTS)
    yield Check(
        "server",
        "ok",
        f"PostgreSQL {version}, database {quoted(database)}, as {quoted(user)}, "
        f"connected in {took * 1000:,.0f} ms",
    )
    if server.is_standby:
        yield Check(
            "server",
            "problem",
            "the server is a standby, and takes no changes",
            "name the primary, or all hosts with target_session_attrs=read-write",
        )
    if pages != "on":
        yield Check(
            "durability",
            "warning",
            "full_page_writes is off: a power cut may damage pages of the database",
            "set it to on, unless the disk writes pages whole",
        )
    else:
        # A pooler may have kept it from being set for the session.
        kept = "for each transaction" if server.is_pooled else synchronous
        yield Check(
            "durability",
            "ok",
            f"fsync and full_page_writes are on, synchronous_commit is {kept}",
        )


def _replicas(server: Server, connection: Connection, took: float) -> Iterator[Check]:
    count, synchronous, known = _one(connection, _REPLICAS)
    if count and not synchronous and known:
        yield Check(
            "replicas",
            "warning",
            f"{count} replicas follow asynchronously: after a failover, what was "
            "acknowledged last may be missing",
            "name one in synchronous_standby_names, if that must not be",
        )
    elif count:
        yield Check("replicas", "ok", f"{count} replicas, {synchronous} synchronous")


def _store(server: Server, connection: Connection, took: float) -> Iterator[Check]:
    name = server.url.schema
    form = Schema(server, Queries(name), connection).format()
    newest = Queries(name).sql.format
    if form is None:
        yield from _not_made(connection, name)
        return
    older = f"; the next use makes it format {newest}" if form < newest else ""
    yield Check(
        "store", "ok", f"the schema {quoted(name)} is a store of format {form}{older}"
    )
    yield _rights(connection, name)


def _not_made(connection: Connection, name: str) -> Iterator[Check]:
    (may_make,) = _one(connection, _HAS_SCHEMA, name) or _one(connection, _MAY_MAKE)
    yield Check(
        "store",
        "warning",
        f"there is no store in the schema {quoted(name)} yet",
        "look whether the URL is right; the first settle makes the store",
    )
    if not may_make:
        yield Check(
            "rights",
            "problem",
            f"the role {quoted(connection.info.user)} may not make it",
            f"let the owner of the database CREATE SCHEMA {Queries(name).schema} "
            f'AUTHORIZATION "{connection.info.user}"',
        )


def _rights(connection: Connection, name: str) -> Check:
    lacking = [table for (table,) in connection.execute(_LACKING, [name])]
    if _one(connection, _MAY_USE, name) != (True,):
        lacking.insert(0, name)
    if not lacking:
        return Check("rights", "ok", "this role may read and write the store")
    return Check(
        "rights",
        "problem",
        f"the role {quoted(connection.info.user)} lacks rights on "
        f"{', '.join(map(quoted, lacking))}",
        "let the owner of the store GRANT USAGE ON SCHEMA, SELECT, INSERT, UPDATE, "
        "DELETE ON ALL TABLES IN SCHEMA and USAGE ON ALL SEQUENCES IN SCHEMA to it",
    )


def _clock(server: Server, connection: Connection, took: float) -> Iterator[Check]:
    before = now()
    (said,) = _one(connection, Queries(server.url.schema).time)
    yield compare_clocks(cast("datetime", moment(said)), before, now(), timedelta(0))


def _notifications(
    server: Server, connection: Connection, took: float
) -> Iterator[Check]:
    """Send a notification to ourselves, under a name for which nobody else listens."""
    channel = f"dp_doctor_{token_hex(8)}"
    with closing(server.connect()) as listener:
        listener.execute(f"LISTEN {channel}")
        connection.execute(f"NOTIFY {channel}")
        heard = any(
            True for _ in listener.notifies(timeout=_HEARING_SECONDS, stop_after=1)
        )
        with suppress(psycopg.Error):
            listener.execute(f"UNLISTEN {channel}")
    if heard and not server.is_pooled:
        yield Check("notifications", "ok", "a NOTIFY comes through; waiters are woken")
        return
    words = []
    if server.is_pooled:
        words.append("a pooler in transaction mode is in between")
    if not heard:
        words.append(f"a NOTIFY has not come in {_HEARING_SECONDS:g} s")
    yield Check(
        "notifications",
        "warning",
        f"{', and '.join(words)}: waiters look at the database now and then, and are "
        "woken later",
        "name the server itself in the URL, or set the pooler's pool_mode to session",
    )


_Checking: TypeAlias = Callable[[Server, Connection, float], Iterator[Check]]

_CHECKS: Final[dict[str, _Checking]] = {
    "server": _facts,
    "replicas": _replicas,
    "store": _store,
    "clock": _clock,
    "notifications": _notifications,
}
