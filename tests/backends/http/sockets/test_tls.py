"""TLS: whom a client trusts, and what it says when it does not."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from threading import Thread

import anyio
import pytest
import trustme

from dp_backends.http import HttpBackend
from dp_backends.http._route import _addresses, make_context, refused_by_tls
from dp_core import (
    AccessDeniedError,
    BackendUnavailableError,
    DurablePromiseError,
    Pending,
    Resolved,
    connect,
)
from support.http import Server, dead_url, failure, keep_error


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


async def test_a_handshake_that_is_given_up_leaves_no_connection() -> None:
    """The server is silent, or the caller is gone: it sees the end at once."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"https://127.0.0.1:{listener.getsockname()[1]}?retry=60"
        with anyio.move_on_after(0.5) as scope:
            await HttpBackend(url).peek("a")
        assert scope.cancelled_caught
        accepted, _ = listener.accept()
        with accepted:
            accepted.settimeout(30)
            while accepted.recv(4096):
                pass


def test_an_alert_of_another_kind_is_left_to_others() -> None:
    """Of those that are not about the handshake, more attempts may help."""
    error = ssl.SSLError(1, "[SSL: TLSV1_ALERT_INTERNAL_ERROR] internal error")
    error.reason = "TLSV1_ALERT_INTERNAL_ERROR"
    assert refused_by_tls(error) is None


def test_without_a_variable_the_machines_authorities_are_trusted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They are those that OpenSSL was built to look at."""
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)

    context = make_context()

    assert ssl.CERT_REQUIRED == context.verify_mode
    assert context.check_hostname
