"""`SqliteStore`: the store that a ``sqlite:`` URL names."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from datetime import datetime
from functools import partial
from typing import Any, Final, TypeAlias, final

from dp_backends._urls import path_of
from dp_backends.sql._backend import SqlBackend
from dp_backends.sql._store import SqlStore
from dp_backends.sql._waits import AskForChanges, Changes
from dp_backends.sql.sqlite._bell import Bell, BellListener
from dp_backends.sql.sqlite._checks import check_database
from dp_backends.sql.sqlite._dialect import CHANGED
from dp_backends.sql.sqlite._log import Log
from dp_backends.sql.sqlite._session import SqliteSession
from dp_core import Backend, UnknownBackendError, hookimpl
from dp_core.backend import Check, now
from dp_core.hookspecs import Register

__all__ = ["SqliteStore", "dp_register_backends"]

_PATIENCE: Final = 60.0

_LIMIT: Final = 5000
"""The most changes to ask for at once."""

_Point: TypeAlias = tuple[int, int]
"""The numbers of a connection, and of a change that it has shown."""


@hookimpl
def dp_register_backends(register: Register) -> None:
    register("sqlite", open_sqlite)


def open_sqlite(url: str) -> Backend:
    """Return a new handle on the store that a URL names."""
    if url.partition(":")[2] == ":memory:":
        raise UnknownBackendError(
            url, "a database in memory is lost with its handle; write 'memory:'"
        )
    return SqlBackend(SqliteStore(path_of(url, "database", "sqlite:./promises.db")))


@final
class SqliteStore(SqlStore):
    """The store in one file."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._bell = Bell(path)
        connect = partial(SqliteSession, path, Log(path), self._bell)
        super().__init__(f"sqlite:{path}", connect, _PATIENCE)

    def listen(self, ring: Callable[[], None]) -> BellListener:
        return BellListener(self._path)

    def changes(self, since: Any, wanted: Collection[bytes]) -> AskForChanges:
        return partial(_changes, since, wanted)

    def now(self) -> datetime:
        return now()

    def checks(self) -> Iterator[Check]:
        return check_database(self._path)

    async def aclose(self) -> None:
        await super().aclose()
        self._bell.close()


def _changes(
    since: _Point | None, wanted: Collection[bytes], session: SqliteSession
) -> Changes:
    """Return the last number, and what of *wanted* has a number above *since*."""
    if not session.is_made():
        return (0, 0), [] if since is None or not since[0] else list(wanted)
    last = session.highest()
    if since is None:
        return (session.connection_number, last), []
    connection, number = since
    if connection != session.connection_number or last < number:
        # Another database, or a backup of it, in which numbers mean something else.
        # Its inode number says nothing: it may be that of one that was removed.
        return (session.connection_number, last), list(wanted)
    found: list[bytes] = []
    while True:
        rows = session.all(CHANGED, number, _LIMIT)
        # One writer at a time: numbers come in the order of the commits.
        found += [id for _, id in rows if id in wanted]
        number = rows[-1][0] if rows else number
        if len(rows) < _LIMIT:
            return (session.connection_number, number), found
