"""Connecting: addresses, TLS, and what to do when there is no connection."""

from __future__ import annotations

import socket
import ssl
from errno import ECONNRESET, EMFILE
from pathlib import Path
from typing import Any

import anyio
import pytest
import trustme

from dp_backends.http import HttpBackend, _sockets
from dp_core import (
    BackendUnavailableError,
    Pending,
    Resolved,
    connect,
)
from support.http_faults import (
    Server,
    dead_url,
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
        await HttpBackend("http://h:1?retry=0.01").peek("a")


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
        for value in range(5):
            promise = promises.promise(str(value))
            assert Resolved(value) == await promise.resolve(value)
            assert value == await promise.get()

    assert 1 == server.connections


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
