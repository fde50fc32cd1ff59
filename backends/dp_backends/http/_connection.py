"""
One HTTP/1.1 connection: questions and answers, one after the other.

A question is bytes already (`_requests`), and h11 reads the answers. It takes
its time for that, a third of all that a request costs us, so the most usual
answer has a shorter way: one that comes in one piece, and says how long it is
and nothing else about its form, is read by a pattern.

Ours is what lies around that: an answer that was cut short is never taken for
one, a reading that was cancelled can be taken up again, and a connection that
is not known to be clean is never used again.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, final

import h11
from anyio.abc import ByteStream

from dp_backends.http._retry import AttemptFailed
from dp_backends.http._sockets import CUT, SocketStream, open_stream
from dp_backends.http._url import ServerUrl
from dp_core import MAX_VALUE_BYTES, ProtocolError

__all__ = ["Connection", "HttpResponse", "open_connection", "read_usual"]

MAX_ANSWER_BYTES: Final = 64 * MAX_VALUE_BYTES
"""The largest body to read; a server may allow more than our own default."""


@final
@dataclass(frozen=True, slots=True)
class HttpResponse:
    """What a server answers, whole."""

    status: int
    headers: Mapping[bytes, bytes]
    body: bytes


class Connection:
    """
    A connection to the server, used by one task at a time.

    It belongs to no event loop: between two questions, any may use it.

    Attributes:
        cut: Whether it came to an end while an answer was expected.
        clean: Whether the next question may be asked on this connection.
    """

    def __init__(self, url: ServerUrl, raw: SocketStream, stream: ByteStream) -> None:
        self._url = url
        self._raw = raw
        self._stream = stream
        self.cut = False
        self.clean = True
        self._whole = False
        self._http: h11.Connection | None = None
        self._response: h11.Response | None = None
        self._body = bytearray()

    async def ask(self, question: bytes) -> None:
        """Send a request; whether it arrived, `answer` tells."""
        self._whole = self.clean = False
        self._http = self._response = None
        self._body.clear()
        try:
            await self._stream.send(question)
        except CUT:
            # A server may answer before it has read all, and hang up.
            return
        self._whole = True

    async def answer(self) -> HttpResponse:
        """
        Return the answer to what was asked.

        When this is cancelled, it may be called again, and goes on.

        Raises:
            AttemptFailed: The connection was cut before the answer was whole.
            ProtocolError: What came is no HTTP, or too much of it.
        """
        if self._http is None:
            data = await self._receive()
            if answer := read_usual(data):
                self.clean = True
                return answer
            self._http = self._reader(data)
        while True:
            match self._event(self._http):
                case h11.NEED_DATA:
                    self._http.receive_data(await self._receive())
                case h11.Response() as response:
                    self._response = self._checked(response)
                case h11.Data(data=data):
                    self._body += data
                    if len(self._body) > MAX_ANSWER_BYTES:
                        raise self._nonsense("its answer is too long")
                case h11.EndOfMessage():
                    return self._finish(self._http)

    def has_news(self) -> bool:
        """Whether an idle connection is of no use, because the peer spoke."""
        return self._raw.has_news()

    def close(self) -> None:
        """Close it at once, from any thread, without any event loop."""
        self._raw.close()

    def interrupt(self) -> None:
        """End it under whoever uses it."""
        self._raw.interrupt()

    async def _receive(self) -> bytes:
        try:
            return await self._stream.receive()
        except CUT:
            self.cut = True
            raise AttemptFailed(
                f"{self._url} cut the connection", sent=self._whole
            ) from None

    def _reader(self, data: bytes) -> h11.Connection:
        """Return what reads an answer that begins with *data*."""
        # h11 would wait for the end of the headers, which a server of another
        # protocol may never send.
        if data[:7] != b"HTTP/1."[: len(data)]:
            raise self._nonsense(f"it says {data[:80].decode(errors='replace')!r}")
        http = h11.Connection(h11.CLIENT)
        for event in _ASKED:
            http.send(event)
        http.receive_data(data)
        return http

    def _event(
        self, http: h11.Connection
    ) -> h11.Event | type[h11.NEED_DATA | h11.PAUSED]:
        try:
            return http.next_event()
        except h11.RemoteProtocolError as error:
            raise self._nonsense(str(error)) from None

    def _checked(self, response: h11.Response) -> h11.Response:
        names = {name for name, _ in response.headers}
        if response.status_code != 204 and names.isdisjoint(_LENGTHS):
            # Only the end of the connection would end it.
            raise self._nonsense("a cut answer of it would look like a whole one")
        return response

    def _finish(self, http: h11.Connection) -> HttpResponse:
        self.clean = http.their_state is h11.DONE and not http.trailing_data[0]
        assert self._response is not None  # noqa: S101 - for the type checker
        return HttpResponse(
            self._response.status_code,
            dict(self._response.headers),
            bytes(self._body),
        )

    def _nonsense(self, reason: str) -> ProtocolError:
        tls = "" if self._url.secure else ", or is it https:// there"
        return ProtocolError(
            502,
            f"what answers at {self._url} does not speak our HTTP/1.1{tls}: {reason}",
        )


# What h11 has to know of a request to read its answer.
_ASKED: Final = (
    h11.Request(method="POST", target="/", headers=[("Host", "x")]),
    h11.EndOfMessage(),
)

_LENGTHS: Final = frozenset({b"content-length", b"transfer-encoding"})


_USUAL: Final = re.compile(
    rb"HTTP/1\.1 ([2-5][0-9]{2}) [^\r\n\0]*\r\n((?:[a-zA-Z0-9-]+:[^\r\n\0]*\r\n)+)\r\n"
)
_UNUSUAL: Final = (b"connection", b"transfer-encoding")


def read_usual(data: bytes) -> HttpResponse | None:
    """
    Return the answer that *data* is, if it is one whole answer of the usual form.

    None is no verdict on it: h11 reads whatever else there is.
    """
    head = _USUAL.match(data)
    if head is None or head[1] == b"204":
        return None
    lines = head[2].split(b"\r\n")[:-1]
    headers = {
        name.lower(): value.strip(b" \t")
        for name, _, value in (line.partition(b":") for line in lines)
    }
    length = headers.get(b"content-length", b"")
    body = data[head.end() :]
    if (
        len(headers) < len(lines)
        or not headers.keys().isdisjoint(_UNUSUAL)
        or length != b"%d" % len(body)
    ):
        return None
    return HttpResponse(int(head[1]), headers, body)


async def open_connection(url: ServerUrl, context: ssl.SSLContext | None) -> Connection:
    """
    Connect to a server; with TLS if there is a *context*.

    Raises:
        AttemptFailed: There is no connection; another attempt may find one.
        BackendUnavailableError: The server cannot be trusted.
    """
    return Connection(url, *await open_stream(url, context))
