"""The PostgreSQL store keeps the contract."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from dp_core import connect
from dp_core.testing import BackendSuite, OpenBackend, Outage
from support.postgresql.server import PostgresServer


class TestPostgresql(BackendSuite):
    """Every law is a test."""

    durable = shared = own_process = True

    @pytest.fixture
    def open_backend(self, url: str) -> OpenBackend:
        return lambda: connect(url).backend

    @pytest.fixture
    def outage(self, postgresql: PostgresServer) -> Outage:
        """Stop the server for a while."""

        @asynccontextmanager
        async def outage() -> AsyncIterator[None]:
            postgresql.stop()
            try:
                yield
            finally:
                # Not in a thread that ends: the server would end with it.
                postgresql.start()

        return outage
