"""A handle on each kind of store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import dp_core.sync as dp
from support.server_process import running


@pytest.fixture(scope="package")
def server() -> Iterator[str]:
    """The URL of a server."""
    with running("memory:") as there:
        yield f"http://127.0.0.1:{there.port}"


@pytest.fixture(params=["memory", "file", "sqlite", "http"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a store of each kind."""
    urls = {
        "memory": lambda: "memory:",
        "file": lambda: f"file:{tmp_path}/promises",
        "sqlite": lambda: f"sqlite:{tmp_path}/promises.db",
        "http": lambda: request.getfixturevalue("server"),
    }
    made: str = urls[request.param]()
    return made


@pytest.fixture
def promises(url: str, tmp_path: Path) -> Iterator[dp.Promises]:
    """A handle on a store of each kind."""
    with dp.connect(url.replace("memory:", f"memory:{tmp_path}")) as handle:
        yield handle
