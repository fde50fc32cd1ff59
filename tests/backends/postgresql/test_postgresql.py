"""The PostgreSQL store keeps the contract."""

from __future__ import annotations

import pytest

from dp_core import connect
from dp_core.testing import BackendSuite, OpenBackend
from support.postgresql import PostgresServer


class TestPostgresql(BackendSuite):
    """Every law is a test."""

    durable = shared = own_process = True

    @pytest.fixture
    def open_backend(self, postgresql: PostgresServer) -> OpenBackend:
        url = postgresql.url(schema=postgresql.new_schema())
        return lambda: connect(url).backend
