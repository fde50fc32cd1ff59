"""
Fixtures of real restate-servers, each of which the tests of one module share.

One for all modules would save no start, because workers take whole modules, and
would take CPU time, idle, until the worker ends.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from dp_backends.restate._restate_server import find_program
from support.restate import RestateServer, running


@pytest.fixture(scope="session")
def program() -> None:
    """Skip where there is no restate-server; in continuous integration, fail."""
    if find_program() is not None:
        return
    reason = "no restate-server; npm install --prefix .venv @restatedev/restate-server"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="module")
def restate(
    program: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RestateServer]:
    """Return a server that keeps promises, for tests that leave it as it is."""
    with running(RestateServer(tmp_path_factory.mktemp("restate"))) as restate:
        yield restate


@pytest.fixture(scope="module")
def quiet(
    program: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RestateServer]:
    """Return a server for tests that see every wait on it; others leave none."""
    with running(RestateServer(tmp_path_factory.mktemp("quiet"))) as restate:
        yield restate
