"""Stores with callbacks, and callbacks without pauses that are for several servers."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from dp_core.server._callbacks import _callbacks, _finding, _watches
from dp_core.testing import DeadlineClock

STORES = count()


@pytest.fixture(params=["memory", "file", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of a store that is not there."""
    return {
        "memory": f"memory:callbacks-{next(STORES)}",
        "file": f"file:{tmp_path}/promises",
        "sqlite": f"sqlite:{tmp_path}/promises.db",
    }[request.param]


@pytest.fixture
def memory() -> str:
    """Return the URL of an empty store in memory."""
    return f"memory:callbacks-{next(STORES)}"


@pytest.fixture
def clock() -> Iterator[DeadlineClock]:
    """Return a clock of deadlines that can be moved."""
    with DeadlineClock() as clock:
        yield clock


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away the pauses that let several servers, and promises, come together."""
    monkeypatch.setattr(_callbacks, "random", lambda: 0.0)
    monkeypatch.setattr(_watches, "_GATHER_SECONDS", 0.0)
    monkeypatch.setattr(_finding, "_PAUSES", (0.02, 0.02))
