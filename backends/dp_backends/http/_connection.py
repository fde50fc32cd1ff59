"""
`Connection`: requests and responses over one socket, one after the other.

`RequestWriter` makes the bytes of a request, and `ResponseReader` reads those of
a response. Here a response that was cut short is never taken for a whole one, a
reading that was cancelled can be taken up again, and a connection that is not
known to be clean is never used again.
"""

from __future__ import annotations

import ssl
from contextlib import suppress
from typing import Final

import anyio
from anyio.abc import ByteStream

from dp_backends.http._responses import (
    HttpResponse,
    MalformedResponseError,
    ResponseReader,
)
from dp_backends.http._retry import AttemptFailed
from dp_backends.http._route import Addresses, refused_by_tls
from dp_backends.http._sockets import CUT, SocketStream, open_stream
from dp_backends.http._url import ServerUrl
from dp_core.backend import ObservedRequest

__all__ = ["Connection", "open_connection"]

_AT_ONCE: Final = 16 * 1024
"""Bytes of a request that any kernel takes without waiting for the peer."""


class Connection:
    """
    A connection to the server, used by one task at a time.

    It belongs to no event loop: between two requests, it may change to another.

    Attributes:
        cut: Whether it came to an end while a response was expected.
        clean: Whether the next request may be sent on this connection.
        credentials: With which token the last request was sent.
        observed: The last request, if there are observers.
        idle_since: When it was used last, by `time.monotonic`.
    """

    def __init__(self, url: ServerUrl, raw: SocketStream, stream: ByteStream) -> None:
        self._url = url
        self._raw = raw
        self._stream = stream
        self._reader = ResponseReader()
        self._sent = False
        self._early: HttpResponse | Exception | None = None
        self._has_early_part = False
        self._new = True
        self.cut = False
        self.clean = True
        self.credentials = ""
        self.observed: ObservedRequest | None = None
        self.idle_since = 0.0

    async def send(self, request: bytes) -> None:
        """
        Send a request; if it does not arrive, `receive` says so.

        A server may answer before it has read all, and read no further. So what it
        says is read while a large request is sent, which ends with the answer.
        """
        self._sent = self.clean = False
        self._early = None
        self._has_early_part = False
        self._reader.begin()
        if len(request) <= _AT_ONCE:
            await self._send(request)
            return
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._listen, tasks.cancel_scope)
            await self._send(request)
            tasks.cancel_scope.cancel()

    async def _send(self, request: bytes) -> None:
        # With what was answered before a connection was cut, `receive` begins.
        with suppress(*CUT):
            await self._stream.send(request)
            self._sent = True

    async def _listen(self, sending: anyio.CancelScope) -> None:
        """Read a response while its request is sent; there is nothing to send then."""
        try:
            while self._early is None:
                self._early = self._reader.feed(await self._stream.receive())
                self._has_early_part = self._early is None
        except (*CUT, MalformedResponseError) as error:
            self._early = error
        sending.cancel()

    async def receive_some(self) -> HttpResponse | None:
        """
        Return the response once it is whole; None where more of it is to come.

        Between two calls `begun` is its head, and `take` its body. When this is
        cancelled, it may be called again, and goes on where it was.

        Raises:
            AttemptFailed: The connection was cut before the response was whole.
            MalformedResponseError: What came is not HTTP/1.1, or too much of it.
        """
        early, self._early = self._early, None
        if isinstance(early, MalformedResponseError):
            raise early
        if isinstance(early, Exception):
            response: HttpResponse | None = self._ended(early)
        elif early is not None:
            response = early
        elif self._has_early_part:
            self._has_early_part = False
            return None
        else:
            try:
                data = await self._stream.receive()
            except CUT as error:
                response = self._ended(error)
            else:
                response = self._reader.feed(data)
        if response is not None:
            self.clean = response.reusable and self._sent
            self._new = False
        return response

    @property
    def begun(self) -> HttpResponse | None:
        """The head of the response that is coming, as a response; None before it."""
        return self._reader.begun

    def take(self) -> bytes:
        """Return what has come of the body, which is forgotten."""
        return self._reader.take()

    def _ended(self, error: Exception) -> HttpResponse:
        # With TLS, only a proper end is one: anything else may be a cut.
        proper = isinstance(error, anyio.EndOfStream)
        if proper and (response := self._reader.end()) is not None:
            return response
        self.cut = True
        if self._new and self._reader.is_silent and (why := refused_by_tls(error)):
            # With TLS 1.3, a handshake is refused where the first response would
            # be; nothing has been done with the request.
            raise AttemptFailed(f"{self._url} {why}", final=True) from None
        raise AttemptFailed(
            f"{self._url} cut the connection", sent=self._sent
        ) from None

    def report(
        self,
        status: int | None = None,
        error: BaseException | None = None,
        *,
        cancelled: bool = False,
    ) -> None:
        """Report to observers how the last request has ended, unless that was done."""
        observed, self.observed = self.observed, None
        if observed is not None:
            observed.finish(status, error, cancelled=cancelled)

    def is_stale(self) -> bool:
        """Whether an idle connection cannot be used: the peer closed it, or spoke."""
        return self._raw.is_readable()

    def close(self) -> None:
        """Close it at once, from any thread, without any event loop."""
        self._raw.close()

    def interrupt(self) -> None:
        """End it while a task uses it; the task notices, and closes it."""
        self._raw.interrupt()


async def open_connection(
    url: ServerUrl, addresses: Addresses, context: ssl.SSLContext | None
) -> Connection:
    """
    Connect to a server; with TLS if there is a *context*.

    Raises:
        AttemptFailed: There is no connection.
    """
    return Connection(url, *await open_stream(url, addresses, context))
