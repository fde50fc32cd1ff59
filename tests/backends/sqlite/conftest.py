"""A database for each test."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the database will be, in a directory of its own."""
    directory = tmp_path / "d"
    directory.mkdir()
    return directory / "p.db"


@pytest.fixture
def url(path: Path) -> str:
    """The URL of the store that it is."""
    return f"sqlite:{path}"
