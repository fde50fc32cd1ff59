"""Fixtures for the tests of notebooks."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from dp_core.notebook import Fleet
from dp_core.notebook.processes import _collect, _fleet
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


PATIENCE: Final = 60
"""Seconds that a fleet waits for a process where a test needs to know what it did."""


@pytest.fixture
async def pair(store: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Fleet]:
    """Return two processes, alice and bob, that run on the store; both have time."""
    monkeypatch.setattr(_fleet, "_BEGIN", PATIENCE)
    monkeypatch.setattr(_collect, "_GRACE", PATIENCE)
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
        await opened.run(
            "from dp_core.notebook.processes import _collect, _fleet\n"
            f"_fleet._BEGIN = _collect._GRACE = {PATIENCE}"
        )
        yield opened
