"""Two stores: one to copy from, and one to copy to."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def source(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of a store to copy from; of another scheme for who asks for it."""
    return f"{getattr(request, 'param', 'file')}:{tmp_path}/source"


@pytest.fixture
def target(tmp_path: Path) -> str:
    """Return the URL of a store to copy to."""
    return f"file:{tmp_path}/target"
