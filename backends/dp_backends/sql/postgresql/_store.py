"""`PostgresStore`: the store that a ``postgresql:`` URL names."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple, final

from psycopg import Connection

from dp_backends.sql._backend import SqlBackend
from dp_backends.sql._store import SqlStore
from dp_backends.sql._waits import AskForChanges, Changes
from dp_backends.sql.postgresql._checks import check_server
from dp_backends.sql.postgresql._clock import ServerClock
from dp_backends.sql.postgresql._connecting import Server, run
from dp_backends.sql.postgresql._ear import Ear, EarListener, join, leave
from dp_backends.sql.postgresql._failures import explained
from dp_backends.sql.postgresql._queries import CHANGED, Queries
from dp_backends.sql.postgresql._session import PostgresSession
from dp_backends.sql.postgresql._url import PostgresUrl, parse_url
from dp_core import Backend, hookimpl
from dp_core.backend import Check
from dp_core.hookspecs import Register

__all__ = ["PostgresStore", "dp_register_backends"]


@hookimpl
def dp_register_backends(register: Register) -> None:
    register("postgresql", open_postgresql)
    register("postgres", open_postgresql)


def open_postgresql(url: str) -> Backend:
    """Return a new handle on the store that a URL names."""
    return SqlBackend(PostgresStore(parse_url(url)))


class _SnapshotPoint(NamedTuple):
    """
    The transactions that could be seen by one session.

    Attributes:
        session: The session's number; None where there was no store.
        end: The number of the first transaction that had not begun.
        open: Those before it that had not ended.
    """

    session: int | None
    end: int = 0
    open: str = ""


@final
class PostgresStore(SqlStore):
    """The store in one schema of a database."""

    def __init__(self, url: PostgresUrl) -> None:
        self._url = url
        server, queries = Server(url), Queries(url.schema)
        self._clock = ServerClock()
        connect = partial(PostgresSession, server, queries, self._clock)
        super().__init__(url.location, connect, url.retry)
        self._ear = join(
            (url.schema, *sorted(url.parameters.items())),
            lambda: Ear(url.location, partial(_listening, server, queries)),
        )
        self._is_open = True

    def listen(self, ring: Callable[[], None]) -> EarListener:
        return EarListener(self._ear, ring)

    def changes(self, since: Any, wanted: Collection[bytes]) -> AskForChanges:
        return partial(_changes, self._ear, since, wanted)

    def now(self) -> datetime:
        return self._clock.now()

    def checks(self) -> Iterator[Check]:
        return check_server(self._url)

    async def aclose(self) -> None:
        await super().aclose()
        if self._is_open:
            self._is_open = False
            leave(self._ear)


def _listening(server: Server, queries: Queries) -> Connection:
    """Return a connection that listens; it is in no transaction, and runs nothing."""
    connection = server.connect()
    try:
        with explained(server.url.location, "listen"):
            run(connection, queries.listen)
    except BaseException:
        connection.close()
        raise
    return connection


def _changes(
    ear: Ear,
    since: _SnapshotPoint | None,
    wanted: Collection[bytes],
    session: PostgresSession,
) -> Changes:
    """
    Return what can be seen, and what of *wanted* may be other than it was at *since*.

    A transaction is seen twice, if anything: those that had not ended are asked for by
    their numbers, and those that had not begun by the first of these.
    """
    if ear.wants_ring():
        session.ring()
    if not session.is_made():
        is_gone = since is not None and since.session is not None
        return _SnapshotPoint(None), list(wanted) if is_gone else []
    queries = session.queries
    if since is None:
        ((snapshot,),) = session.all(queries.snapshot)
        return _point(session, snapshot), []
    if since.session != session.number:
        # Another server, perhaps, whose numbers mean something else.
        ((snapshot,),) = session.all(queries.snapshot)
        return _point(session, snapshot), list(wanted)
    (snapshot, _), *found = session.changed(str(since.end), f"{{{since.open}}}")
    point = _point(session, snapshot)
    if point.end < since.end or len(found) > CHANGED:
        return point, list(wanted)
    return point, [id for _, id in found if id in wanted]


def _point(session: PostgresSession, snapshot: str) -> _SnapshotPoint:
    _, end, open_ = snapshot.split(":")
    return _SnapshotPoint(session.number, int(end), open_)
