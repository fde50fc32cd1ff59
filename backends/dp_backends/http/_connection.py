"""
`Connection`: requests and responses over one socket, one after the other.

`RequestWriter` makes the bytes of a request, and `ResponseReader` reads those of
a response. Here a response that was cut short is never taken for a whole one, a
reading that was cancelled can be taken up again, and a connection that is not
known to be clean is never used again.
"""

from __future__ import annotations

import ssl

from anyio.abc import ByteStream

from dp_backends.http._responses import (
    HttpResponse,
    MalformedResponseError,
    ResponseReader,
)
from dp_backends.http._retry import AttemptFailed
from dp_backends.http._sockets import CUT, SocketStream, open_stream
from dp_backends.http._url import ServerUrl
from dp_core import ProtocolError

__all__ = ["Connection", "open_connection"]


class Connection:
    """
    A connection to the server, used by one task at a time.

    It belongs to no event loop: between two requests, it may change to another.

    Attributes:
        cut: Whether it came to an end while a response was expected.
        clean: Whether the next request may be sent on this connection.
    """

    def __init__(self, url: ServerUrl, raw: SocketStream, stream: ByteStream) -> None:
        self._url = url
        self._raw = raw
        self._stream = stream
        self._reader = ResponseReader()
        self._sent = False
        self.cut = False
        self.clean = True

    async def send(self, request: bytes) -> None:
        """Send a request; if it does not arrive, `receive` says so."""
        self._sent = self.clean = False
        self._reader.begin()
        try:
            await self._stream.send(request)
        except CUT:
            # A server may answer before it has read all, and hang up.
            return
        self._sent = True

    async def receive(self) -> HttpResponse:
        """
        Return the response to what was sent.

        When this is cancelled, it may be called again, and goes on where it was.

        Raises:
            AttemptFailed: The connection was cut before the response was whole.
            ProtocolError: What came is not HTTP/1.1, or too much of it.
        """
        response = None
        while response is None:
            try:
                data = await self._stream.receive()
            except CUT:
                self.cut = True
                raise AttemptFailed(
                    f"{self._url} cut the connection", sent=self._sent
                ) from None
            try:
                response = self._reader.feed(data)
            except MalformedResponseError as error:
                raise self._not_ours(error.reason) from None
        self.clean = response.reusable
        return response

    def is_stale(self) -> bool:
        """Whether an idle connection cannot be used: the peer closed it, or spoke."""
        return self._raw.is_readable()

    def close(self) -> None:
        """Close it at once, from any thread, without any event loop."""
        self._raw.close()

    def interrupt(self) -> None:
        """End it while a task uses it; the task notices, and closes it."""
        self._raw.interrupt()

    def _not_ours(self, reason: str) -> ProtocolError:
        tls = "" if self._url.secure else ", or is it https:// there"
        return ProtocolError(
            502,
            f"what answers at {self._url} does not speak our HTTP/1.1{tls}: {reason}",
        )


async def open_connection(url: ServerUrl, context: ssl.SSLContext | None) -> Connection:
    """
    Connect to a server; with TLS if there is a *context*.

    Raises:
        AttemptFailed: There is no connection; another attempt may find one.
        BackendUnavailableError: The server cannot be trusted.
    """
    return Connection(url, *await open_stream(url, context))
