"""Our own backends, and our server over them, under the conformance kit."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import pytest

from dp_core import connect
from dp_core.testing import (
    LAWS,
    BackendSuite,
    Effort,
    OpenBackend,
    Outage,
    check_backend,
)
from dp_core.testing.suite import WireSuite
from support.core.torture import TORTURE
from support.server_process import Server, running

STORES = count()

# In memory: a thousand histories on its two event loops, ten thousand under
# torture. A call takes ten times as long with files, a hundred times by HTTP.
MEMORY = Effort(histories=5_000 if TORTURE else 500)
FILE = Effort(histories=5_000 if TORTURE else 100)
HTTP = Effort(histories=500) if TORTURE else Effort(histories=10, volume=300)


class TestMemory(BackendSuite):
    """The memory backend."""

    durable, shared, own_process, effort = False, True, True, MEMORY
    own_clock = True

    @pytest.fixture
    def open_backend(self) -> OpenBackend:
        """Open handles on one URL of this process."""
        url = f"memory:conformance-{next(STORES)}"
        return lambda: connect(url).backend


class TestFile(BackendSuite):
    """The file backend."""

    durable, shared, own_process, effort = True, True, True, FILE
    own_clock = True

    @pytest.fixture
    def open_backend(self, tmp_path: Path) -> OpenBackend:
        """Open handles on one directory."""
        return lambda: connect(f"file:{tmp_path}/s").backend

    @pytest.fixture
    def outage(self, tmp_path: Path) -> Outage:
        """Move the directory away, as a disk that is unmounted, and back."""

        @asynccontextmanager
        async def outage() -> AsyncIterator[None]:
            (tmp_path / "s").rename(tmp_path / "away")
            yield
            (tmp_path / "away").rename(tmp_path / "s")

        return outage


@pytest.fixture(scope="module")
def over_memory() -> Iterator[Server]:
    """Run a server over memory."""
    with running("memory:") as server:
        yield server


@pytest.fixture(scope="module")
def over_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run a server over a directory."""
    with running(f"file:{tmp_path_factory.mktemp('store')}/s") as server:
        yield server


class OverHttp(WireSuite):
    """A server process, and clients on one of the event loops; ids are a law's own."""

    # Its handles are clients; the store lives on without them.
    durable, shared, own_process = True, True, True
    effort, examples = HTTP, 10

    @pytest.fixture
    def server(self) -> Server:
        """Return the server; a subclass says which."""
        raise NotImplementedError

    @pytest.fixture
    def url(self, server: Server) -> str:
        """Return the server's URL."""
        return f"http://127.0.0.1:{server.port}"

    @pytest.fixture
    def open_backend(self, url: str) -> OpenBackend:
        """Open clients of the server."""
        return lambda: connect(url).backend

    @pytest.fixture
    def outage(self, server: Server) -> Outage:
        """Return a function that stops the server's process for a while."""
        return outage_of(server)


def outage_of(server: Server) -> Outage:
    """Stop the server's process, which then answers nothing, and continue it."""

    @asynccontextmanager
    async def outage() -> AsyncIterator[None]:
        server.process.send_signal(signal.SIGSTOP)
        yield
        server.process.send_signal(signal.SIGCONT)

    return outage


class TestHttpOverMemory(OverHttp):
    """The HTTP backend on asyncio, and the server over memory."""

    @pytest.fixture(params=["asyncio"])
    def anyio_backend(self, request: pytest.FixtureRequest) -> str:
        """Return the event loop of the clients."""
        return str(request.param)

    @pytest.fixture
    def server(self, over_memory: Server) -> Server:
        """Return the server."""
        return over_memory


class TestHttpOverFile(OverHttp):
    """The HTTP backend on trio, and the server over a directory."""

    @pytest.fixture(params=["trio"])
    def anyio_backend(self, request: pytest.FixtureRequest) -> str:
        """Return the event loop of the clients."""
        return str(request.param)

    @pytest.fixture
    def server(self, over_file: Server) -> Server:
        """Return the server."""
        return over_file


@pytest.mark.conformance
async def test_watches_over_sqlite(tmp_path: Path) -> None:
    """Each law of watching is kept over a database, too, and none is left out."""
    laws = [law for law in LAWS.values() if "watch" in law.needs]
    with running(f"sqlite:{tmp_path}/p.db") as server:
        report = await check_backend(
            lambda: connect(f"http://127.0.0.1:{server.port}").backend,
            durable=True,
            shared=True,
            laws=laws,
            effort=HTTP,
            outage=outage_of(server),
        )

    assert {law.name for law in laws} == set(report.passed)
