"""Connecting: addresses, TLS, and what to do when there is no connection."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from errno import ECONNRESET, EMFILE
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

import anyio
import pytest
import trustme

from dp_backends.http import HttpBackend, _sockets
from dp_backends.http._route import _addresses
from dp_core import (
    AccessDeniedError,
    BackendUnavailableError,
    DurablePromiseError,
    Pending,
    Resolved,
    connect,
)
from support.http_faults import (
    Server,
    dead_url,
    eventually,
    failure,
    keep_error,
)

# Addresses ------------------------------------------------------------------


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


# TLS ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Return an authority of certificates that nobody trusts."""
    return trustme.CA()


def tls_of(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    """Return what a server with a certificate for *names* needs."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


async def test_https_is_trusted_by_its_certificate(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a trusted authority, all works, on connections that are kept."""
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    tls = tls_of(authority, "127.0.0.1")
    async with Server().serving(tls=tls) as server, connect(server.url) as promises:
        # Large ones are read and written at the same time.
        for n, value in enumerate([0, "x" * 1_000_000, 1, "y" * 100_000, 2]):
            promise = promises.promise(str(n))
            assert Resolved(value) == await promise.resolve(value)
            assert value == await promise.get()

    assert 1 == server.connections


async def test_a_refusal_is_heard_over_tls_while_a_large_value_is_sent(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also from a server that reads no further, and does not hang up."""
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    # The kernel gives up who reads nothing for 5 s; that is to play no part here.
    monkeypatch.setattr(_addresses, "_OPTIONS", ())
    told: list[DurablePromiseError] = []
    over = threading.Event()

    def refuse(listener: socket.socket) -> None:
        raw, _ = listener.accept()
        with tls_of(authority, "127.0.0.1").wrap_socket(raw, server_side=True) as one:
            one.recv(1000)
            one.sendall(failure(403))
            over.wait(60)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        thread = threading.Thread(target=refuse, args=(listener,))
        thread.start()
        backend = HttpBackend(f"https://127.0.0.1:{listener.getsockname()[1]}")
        value = Resolved(b'"%b"' % (b"x" * 20_000_000))
        with anyio.fail_after(60):
            await keep_error(partial(backend.settle, "a", value), told)
        over.set()
        thread.join()

    assert [AccessDeniedError] == [type(error) for error in told]


@pytest.mark.parametrize("trusted", [True, False])
async def test_https_without_trust_is_refused(
    authority: trustme.CA,
    trusted: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An unknown authority, or a wrong name, ends it at once; nothing is sent."""
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    tls = tls_of(authority, "other.example" if trusted else "127.0.0.1")
    async with Server().serving(tls=tls) as server:
        with pytest.raises(
            BackendUnavailableError, match=r"not trusted.*SSL_CERT_FILE"
        ):
            await HttpBackend(server.url).peek("a")

    assert [] == server.calls


async def test_https_at_an_http_port_is_said() -> None:
    """A server without TLS is told from one that is not there."""
    async with Server().serving() as server:
        with pytest.raises(BackendUnavailableError, match="http://"):
            await HttpBackend(server.url.replace("http:", "https:")).peek("a")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("operation", ["peek", "settle", "dispose"])
async def test_a_server_that_wants_a_client_certificate_is_said_at_once(
    version: ssl.TLSVersion,
    operation: str,
    authority: trustme.CA,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It names what was asked for; nothing was done, so nothing is unknown."""
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    tls = tls_of(authority, "127.0.0.1")
    tls.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(tls)
    tls.minimum_version = tls.maximum_version = version
    with demanding(tls) as url:
        backend = HttpBackend(url)
        calls = {
            "peek": partial(backend.peek, "a"),
            "settle": partial(backend.settle, "a", Resolved(b"1")),
            "dispose": partial(backend.dispose, "a"),
        }
        with pytest.raises(BackendUnavailableError, match="client certificate"):
            await calls[operation]()  # type: ignore[operator] # one of the calls above


@contextmanager
def demanding(tls: ssl.SSLContext) -> Iterator[str]:
    """Yield the URL of a server that shakes hands, and sends its alerts."""

    def shake_hands() -> None:
        with suppress(OSError):
            while True:
                with suppress(ssl.SSLError), listener.accept()[0] as sock:
                    sock.settimeout(60)
                    with tls.wrap_socket(sock, server_side=True) as secure:
                        secure.recv(1)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=shake_hands)
        thread.start()
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.mark.usefixtures("_long_pauses")
@pytest.mark.parametrize("kind", ["missing", "empty", "a directory", "no certificate"])
@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE"])
async def test_a_variable_that_names_nothing_usable_is_said(
    variable: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the variable and what it names, before anybody is asked."""
    named = tmp_path / "named"
    if kind == "a directory":
        named.mkdir()
    elif kind == "no certificate":
        named.write_text("hello")
    path = "" if kind == "empty" else str(named)
    if variable == "SSLKEYLOGFILE" and kind == "missing":
        path = f"{path}/deeper"
    fine = {("SSL_CERT_DIR", "a directory")} | {
        ("SSLKEYLOGFILE", fine) for fine in ("empty", "no certificate")
    }
    monkeypatch.setenv(variable, path)
    url = dead_url().replace("http:", "https:")
    words = "no answer from" if (variable, kind) in fine else f"{variable} names"
    with pytest.raises(BackendUnavailableError, match=words):
        await HttpBackend(url).peek("a")


async def test_an_authority_that_was_replaced_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A handle need not be made anew when the server gets another certificate."""
    old, new = trustme.CA(), trustme.CA()
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    old.cert_pem.write_to_path(tmp_path / "ca.pem")
    async with Server().serving(tls=tls_of(old, "127.0.0.1")) as server:
        backend = HttpBackend(server.url)
        await backend.peek("a")
    new.cert_pem.write_to_path(tmp_path / "ca.pem")
    async with server.serving(port=server.port, tls=tls_of(new, "127.0.0.1")):
        assert Pending() == await backend.peek("a")
