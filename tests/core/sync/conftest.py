"""A handle on each kind of store, and both ways of running a call."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import dp_core.sync as dp
from dp_core.sync import _run
from support.server_process import running


@pytest.fixture(scope="package")
def server() -> Iterator[str]:
    """The URL of a server."""
    with running("memory:") as there:
        yield f"http://127.0.0.1:{there.port}"


@pytest.fixture(params=["memory", "file", "sqlite", "http"])
def promises(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dp.Promises]:
    """A handle on a store of each kind."""
    urls = {
        "memory": lambda: f"memory:{tmp_path}",
        "file": lambda: f"file:{tmp_path}/promises",
        "sqlite": lambda: f"sqlite:{tmp_path}/promises.db",
        "http": lambda: request.getfixturevalue("server"),
    }
    with dp.connect(urls[request.param]()) as handle:
        yield handle


@pytest.fixture(params=["lone", "together"])
def _way(request: pytest.FixtureRequest) -> Iterator[None]:
    """Calls run by the calling thread, and by the thread for all."""
    lone = _run._LOOPS[-1].lone
    assert lone is not None
    if request.param == "together":
        assert lone.take()
    try:
        yield
    finally:
        if request.param == "together":
            lone.leave()
