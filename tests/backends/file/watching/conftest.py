"""A store of its own for each test."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Name a store of its own for each test."""
    return f"file:{tmp_path}/s"
