"""The proof that the backend keeps its contract."""

from __future__ import annotations

from pathlib import Path

import pytest

from dp_core import connect
from dp_core.testing import BackendSuite, OpenBackend


class TestLmdb(BackendSuite):
    """Every law is a test."""

    durable = shared = own_process = True

    @pytest.fixture
    def open_backend(self, tmp_path: Path) -> OpenBackend:
        return lambda: connect(f"lmdb:{tmp_path}/promises.db").backend
