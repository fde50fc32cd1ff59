"""A store for each test."""

from __future__ import annotations

from pathlib import Path

import pytest

from dp_backends.file._store import FileStore


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    """Make a store."""
    store = FileStore(str(tmp_path / "s"))
    store.open()
    return store
