"""A server of PostgreSQL, which all tests of one worker share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.postgresql import PostgresServer, running


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresServer]:
    """Return a server, on which each test has a schema or a database of its own."""
    with running() as server:
        yield server
