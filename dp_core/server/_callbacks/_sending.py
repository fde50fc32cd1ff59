"""
`Sender`: a request to a receiver, by httpcore2, to an address that was looked at.

httpcore2 follows no redirects, and asks no proxy. By a network backend, as documented,
the name is resolved here, once, and the connection is made to the address that was
allowed; TLS and ``Host`` go by the name of the URL.

The head of an answer is the answer. Nobody looks at its body, which is read for a
moment only as a courtesy: who is still writing may take a closed connection for a
client that went away, and undo what it has begun.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing, suppress
from functools import partial
from ipaddress import ip_address
from typing import Any, Final, TypeAlias, final

import httpcore2
from anyio import CancelScope, CapacityLimiter, fail_after, move_on_after

from dp_core._terms import CallbackUrl
from dp_core._text import quoted
from dp_core.backend import in_thread_apart
from dp_core.server._callbacks._addresses import AllowedHosts
from dp_core.server._callbacks._rules import Answer

__all__ = ["ATTEMPT_SECONDS", "Resolve", "Sender"]

ATTEMPT_SECONDS: Final = 15.0
"""The longest time that one attempt takes."""

_CONNECT_SECONDS: Final = 5.0
"""The longest time to wait for one of several addresses."""

_BODY_SECONDS: Final = 1.0
"""The longest time for which the body of an answer is read."""

_BODY_BYTES: Final = 64 * 1024
"""The most of it that is read."""

_RESOLVING: Final = 8
"""The most names that are looked up at once, each in a thread."""

Resolve: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]
"""Returns the addresses of a host."""


@final
class _NameLookup:
    """Looks up names, as this machine does."""

    def __init__(self) -> None:
        self._limiter = CapacityLimiter(_RESOLVING)

    async def addresses(self, host: str, port: int) -> Sequence[str]:
        """
        Return the addresses of a host, the best one first.

        Raises:
            OSError: There is none.
        """
        # A name server that does not answer holds up its thread, and nobody else.
        async with self._limiter:
            found = await in_thread_apart(
                partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
            )
        return list(dict.fromkeys(str(address[4][0]) for address in found))


class _NotCalledError(Exception):
    """There is no address to which we connect."""


@final
class _CheckedNetwork(httpcore2.AsyncNetworkBackend):
    """Connects to the addresses of one URL that are allowed."""

    def __init__(self, url: CallbackUrl, hosts: AllowedHosts, resolve: Resolve) -> None:
        self._url = url
        self._hosts = hosts
        self._resolve = resolve
        self._network = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        try:
            ip_address(self._url.host)
            found: Sequence[str] = [self._url.host]
        except ValueError:
            found = await self._resolve(self._url.host, port)
        # One of several that leads inside says enough of who answers for the name.
        if not found or not all(self._hosts.is_allowed(self._url, a) for a in found):
            raise _NotCalledError(
                f"{quoted(self._url.host)} leads to an address that this server does "
                "not call; see dp serve --notify-allow"
            )
        *others, last = found
        for address in others:
            try:
                return await self._network.connect_tcp(
                    address, port, _CONNECT_SECONDS, local_address, socket_options
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                continue
        return await self._network.connect_tcp(
            last, port, timeout, local_address, socket_options
        )


@final
class Sender:
    """
    Makes requests to receivers.

    Args:
        hosts: The hosts that may be called.
        resolve: How names are looked up; None for as this machine does.
    """

    def __init__(self, hosts: AllowedHosts, resolve: Resolve | None = None) -> None:
        self._hosts = hosts
        self._resolve = resolve or _NameLookup().addresses
        self._tls: ssl.SSLContext | None = None
        self._reads_bodies = True
        self._reading: set[CancelScope] = set()

    async def post(
        self, url: CallbackUrl, headers: Mapping[str, str], body: bytes
    ) -> Answer:
        """Make one attempt; return what came of it."""
        if url.scheme == "https" and self._tls is None:
            self._tls = ssl.create_default_context()
        request = _request(url, headers, body)
        connection = httpcore2.AsyncHTTPConnection(
            request.url.origin,
            ssl_context=self._tls,
            network_backend=_CheckedNetwork(url, self._hosts, self._resolve),
        )
        try:
            with fail_after(ATTEMPT_SECONDS):
                response = await connection.handle_async_request(request)
            # From here on nothing changes what was answered.
            await self._read_body(response)
            return Answer(response.status, retry_after=_retry_after(response))
        except TimeoutError:
            return Answer(None, f"no answer in {ATTEMPT_SECONDS:g} s")
        except _NotCalledError as error:
            return Answer(None, str(error))
        except _FAILURES as error:
            kind = type(error).__name__
            return Answer(None, f"no answer: {kind} {quoted(str(error), 200)}")
        finally:
            with suppress(*_FAILURES):
                await connection.aclose()

    def stop_reading(self) -> None:
        """Read no bodies from now on: what was answered is to be kept at once."""
        self._reads_bodies = False
        for scope in self._reading:
            scope.cancel()

    async def _read_body(self, response: httpcore2.Response) -> None:
        if not self._reads_bodies:
            return
        read = 0
        with suppress(*_FAILURES), move_on_after(_BODY_SECONDS) as scope:
            self._reading.add(scope)
            try:
                async with aclosing(response.aiter_stream()) as parts:
                    async for part in parts:
                        read += len(part)
                        if read > _BODY_BYTES:
                            break
            finally:
                self._reading.discard(scope)


def _request(
    url: CallbackUrl, headers: Mapping[str, str], body: bytes
) -> httpcore2.Request:
    return httpcore2.Request(
        "POST",
        httpcore2.URL(
            scheme=url.scheme.encode(),
            host=url.host.encode(),
            port=url.port,
            target=url.target.encode(),
        ),
        headers=[
            ("Host", url.authority),
            ("Content-Length", str(len(body))),
            ("Connection", "close"),
            *headers.items(),
        ],
        content=body,
        extensions={"timeout": dict.fromkeys(_TIMEOUTS, ATTEMPT_SECONDS)},
    )


def _retry_after(response: httpcore2.Response) -> str | None:
    for name, value in reversed(response.headers):
        if name.lower() == b"retry-after":
            return value.decode("latin-1")
    return None


_TIMEOUTS: Final = ("connect", "read", "write")

_FAILURES: Final = (
    httpcore2.NetworkError,
    httpcore2.TimeoutException,
    httpcore2.ProtocolError,
    OSError,
)
"""The ways in which a connection fails."""
