"""Fixtures for the tests of notebooks."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dp_core.notebook import Fleet
from support.notebook.kernels import Notebook


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio alone: jupyter_client knows no other."""
    return "asyncio"


@pytest.fixture
def store(tmp_path: Path) -> str:
    """Return the URL of a new store."""
    return f"file:{tmp_path}/promises"


@pytest.fixture
def id() -> str:
    """Return an id that nobody has used."""
    return f"test-{secrets.token_hex(4)}"


@pytest.fixture
async def pair(store: str) -> AsyncIterator[Fleet]:
    """Return two processes, alice and bob, that run on the store."""
    fleet = Fleet("alice", "bob", env={"DP_URL": store})
    await fleet.start()
    try:
        yield fleet
    finally:
        await fleet.stop()


@pytest.fixture
async def notebook(tmp_path: Path, store: str) -> AsyncIterator[Notebook]:
    """Return a kernel that a front end would have, with our extension loaded."""
    async with Notebook.open(tmp_path, {"DP_URL": store}) as opened:
        await opened.run("%load_ext dp_core.notebook\nimport dp_core as dp")
        yield opened
