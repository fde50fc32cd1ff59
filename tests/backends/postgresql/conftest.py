"""A server of PostgreSQL, which all tests of one worker share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.postgresql.server import PostgresServer, running


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresServer]:
    """Return a server, on which each test has a schema or a database of its own."""
    with running() as server:
        yield server


@pytest.fixture
def schema(postgresql: PostgresServer) -> str:
    """Return the name of a schema that is not there."""
    return postgresql.new_schema()


@pytest.fixture
def url(postgresql: PostgresServer, schema: str) -> str:
    """Return the URL of a store that is not there."""
    return postgresql.url(schema=schema)
