"""What tests of the SQLite store do beside it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw

from dp_backends.sql._backend import SqlBackend
from dp_core import Promises

__all__ = ["files", "opened", "rows", "session_of", "settle_carelessly", "write_lock"]


@contextmanager
def opened(path: Path) -> Iterator[apsw.Connection]:
    """Open the database as somebody else would."""
    connection = apsw.Connection(str(path))
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def write_lock(path: Path) -> Iterator[None]:
    """Hold the lock that every writer needs."""
    with opened(path) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


def rows(path: Path, statement: str) -> list[Any]:
    """Run a statement beside the store; return its rows."""
    with opened(path) as connection:
        return connection.execute(statement).fetchall()


def files(directory: Path) -> dict[str, bytes]:
    """Return all files in a directory, with what is in them."""
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def session_of(promises: Promises) -> Any:
    """Return the session that a handle has open, or None."""
    backend = promises.backend
    assert isinstance(backend, SqlBackend)
    return backend._store._worker._session


def settle_carelessly(path: Path, id: str) -> None:
    """Settle a promise as a program does that does not wait for the disk."""
    with opened(path) as connection:
        connection.execute("PRAGMA synchronous = off")
        connection.execute(
            "INSERT INTO promises SELECT ?, change + 1, 1, 0, change + 1, 1, x'37', "
            "NULL, 0, 0, NULL, NULL, NULL FROM promises ORDER BY change DESC LIMIT 1",
            (id.encode(),),
        )
