"""Addresses: which is tried when, and what to do when none answers."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from errno import ECONNRESET, EMFILE
from typing import Any

import anyio
import pytest

from dp_backends.http import HttpBackend, _sockets
from dp_backends.http._route import Addresses, _addresses
from dp_core import BackendUnavailableError, Pending
from support.http import Server, dead_url, eventually


async def test_localhost_is_found_whatever_the_family() -> None:
    """A name with an IPv6 and an IPv4 address works if one of them answers."""
    async with Server().serving() as server:
        url = server.url.replace("127.0.0.1", "localhost")

        assert Pending() == await HttpBackend(url).peek("a")


async def test_ipv6_addresses_work() -> None:
    """``http://[::1]:PORT`` names the IPv6 loopback, in Host, too."""
    async with Server().serving("::1") as server:
        assert Pending() == await HttpBackend(server.url).peek("a")

    assert server.url.removeprefix("http://").encode() == server.headers[0][b"host"]


@contextmanager
def swallowing(*hosts: str) -> Iterator[int]:
    """Yield a port at which some addresses drop all attempts to connect."""
    with ExitStack() as stack:
        port = 0
        for host in hosts:
            sock = stack.enter_context(socket.socket(_family(host)))
            sock.bind((host, port))
            port = sock.getsockname()[1]
            # A queue that is full takes no more, and says nothing.
            sock.listen(0)
            for _ in range(4):
                waiting = stack.enter_context(socket.socket(_family(host)))
                waiting.settimeout(0)
                with suppress(BlockingIOError):
                    waiting.connect((host, port))
        yield port


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def name(
    monkeypatch: pytest.MonkeyPatch,
    *addresses: str,
    answered: threading.Event | None = None,
) -> list[str]:
    """
    Give "many.example" these addresses; return a list of its questions to be.

    They are answered once *answered* is set, if it is given.
    """
    real, asked = socket.getaddrinfo, list[str]()

    def getaddrinfo(host: str, port: int, *args: Any, **options: Any) -> Any:
        if host != "many.example" or options.get("flags"):
            return real(host, port, *args, **options)
        asked.append(host)
        if answered is not None:
            answered.wait()
        return [
            found for address in addresses for found in real(address, port, **options)
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


@pytest.mark.parametrize(
    "dead", [["127.0.0.2"], ["::1"], ["127.0.0.2", "127.0.0.3", "127.0.0.4"]]
)
async def test_an_address_that_swallows_everything_costs_a_moment(
    dead: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one is tried soon, and is the first one the next time."""
    name(monkeypatch, *dead, "127.0.0.1")
    with swallowing(*dead) as port:
        async with Server().serving(port=port):
            backend = HttpBackend(f"http://many.example:{port}")
            with anyio.fail_after(5):
                assert Pending() == await backend.peek("a")
            monkeypatch.setattr(_addresses, "_NEXT_SECONDS", 1000)
            with anyio.fail_after(5):
                for n in range(5):
                    await backend.dispose(str(n))


async def test_an_address_that_refuses_costs_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The next one is tried at once; if the best one comes back, it is found."""
    monkeypatch.setattr(_addresses, "_NEXT_SECONDS", 1000)
    name(monkeypatch, "127.0.0.2", "127.0.0.3", "127.0.0.1")
    async with Server().serving() as server:
        backend = HttpBackend(f"http://many.example:{server.port}")
        with anyio.fail_after(20):
            await backend.peek("a")
    async with Server().serving("127.0.0.2", server.port):
        with anyio.fail_after(20):
            await backend.dispose("a")


SLOW_NAME = """
import socket, sys, time
import anyio
import dp_core as dp

real = socket.getaddrinfo
def getaddrinfo(host, *args, **options):
    if host == "slow.example" and not options.get("flags"):
        time.sleep(600)
    return real(host, *args, **options)
socket.getaddrinfo = getaddrinfo

async def main():
    try:
        await dp.durable_promise("a", "http://slow.example:1").get(timeout=0.5)
    except dp.BackendUnavailableError as error:
        print(error)

anyio.run(main, backend=sys.argv[1])
"""


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_nothing_waits_for_a_resolver_that_is_silent(loop: str) -> None:
    """The deadline holds; nobody has said "pending"; the program ends at once."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SLOW_NAME, loop],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert "no answer from slow.example:1 in 0.5 s\n" == done.stdout
    assert "" == done.stderr


async def test_a_name_is_looked_up_by_one_thread_for_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A hundred connections at once ask the resolver one question."""
    answered = threading.Event()
    asked = name(monkeypatch, "127.0.0.1", answered=answered)
    async with Server().serving() as server:
        backend = HttpBackend(f"http://many.example:{server.port}")
        async with anyio.create_task_group() as tasks:
            for n in range(100):
                tasks.start_soon(backend.peek, str(n))
            await anyio.wait_all_tasks_blocked()
            await eventually(lambda: bool(asked))
            assert ["many.example"] == asked
            answered.set()


class _Narcissus(socket.socket):
    """A socket whose own end is given the port that it connects to."""

    def connect(self, address: Any, /) -> None:
        self.bind(address)
        super().connect(address)


@pytest.mark.usefixtures("_long_pauses")
async def test_a_connection_to_itself_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """TCP allows it where nobody listens; it would read its own request."""
    url = dead_url()
    monkeypatch.setattr(socket, "socket", _Narcissus)
    with pytest.raises(BackendUnavailableError, match="refused"):
        await HttpBackend(url).peek("a")


@pytest.mark.usefixtures("_long_pauses")
@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (ConnectionRefusedError(), "dp serve"),
        (socket.gaierror(socket.EAI_NONAME, "Name unknown"), "name right"),
        (TimeoutError(), "host up"),
        (OSError(EMFILE, "Too many open files"), "ulimit -n"),
        (OSError(ECONNRESET, "Connection reset"), "Connection reset"),
        (anyio.BrokenResourceError(), "cut"),
    ],
)
async def test_a_failed_connection_says_what_to_do(
    error: Exception, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each way in which there is no connection has its own advice."""

    async def fail(*args: object) -> None:
        raise error

    monkeypatch.setattr(_sockets, "_open_socket", fail)
    with pytest.raises(BackendUnavailableError, match=advice):
        await HttpBackend("http://h:1").peek("a")


async def test_where_no_address_answers_the_last_failure_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of several, each is tried, and none of them for ever."""
    port = int(dead_url().rpartition(":")[2])
    found = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"127.0.0.{n}", port))
        for n in (1, 2)
    ]

    def resolved(*_: object, flags: int = 0, **__: object) -> Any:
        if flags:
            raise socket.gaierror
        return found

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    with pytest.raises(ConnectionRefusedError):
        await Addresses("two.test", port).connect()


async def test_without_threads_a_name_is_looked_up_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where the kernel refuses a thread, the caller's own asks for the addresses."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async with Server().serving() as server:
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", refuse)
            url = server.url.replace("127.0.0.1", "localhost")
            assert Pending() == await HttpBackend(url).peek("a")


def test_a_socket_that_has_failed_is_no_idle_one() -> None:
    """What cannot be asked whether something came is not used again."""
    ours, theirs = socket.socketpair()
    ours.settimeout(0)
    stream = _sockets.SocketStream(ours)
    assert not stream.is_readable()
    ours.close()
    theirs.close()
    assert stream.is_readable()
