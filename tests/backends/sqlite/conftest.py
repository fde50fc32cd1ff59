"""A database for each test."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from support.sqlite.looks import fill


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


@pytest.fixture
def store(path: Path, url: str) -> bytes:
    """Make a store, and close it; return what is in its file."""
    anyio.run(fill, url)
    return path.read_bytes()
