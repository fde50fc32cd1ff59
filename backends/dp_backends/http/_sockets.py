"""
`SocketStream`: a plain socket that any event loop may await.

A stream of an event loop ends with that loop, and warns if it was not closed. A
plain socket belongs to no event loop: an idle connection survives `asyncio.run`
and serves the next one, or another thread, and closing it needs no loop. It is
faster, too (``benchmarks/bench_http_client.py``).
"""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from errno import EMFILE, ENFILE
from typing import Final

import anyio
from anyio.abc import ByteStream
from anyio.streams.tls import TLSStream

from dp_backends.http._retry import AttemptFailed
from dp_backends.http._route import Addresses, handshake_failed
from dp_backends.http._url import ServerUrl

__all__ = ["CUT", "SocketStream", "open_stream"]

CUT: Final = (OSError, anyio.EndOfStream, anyio.BrokenResourceError)
"""Errors by which a stream says that its connection has ended."""

_CONNECT_SECONDS: Final = 10.0
_CHUNK: Final = 65536


class SocketStream(ByteStream):
    """A connected socket as a stream of the event loop that uses it now."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    async def receive(self, max_bytes: int = _CHUNK) -> bytes:
        while True:
            # The response to a request just sent is not there yet, so waiting
            # comes first; it is also the checkpoint.
            await anyio.wait_readable(self._socket)
            with suppress(BlockingIOError):
                if data := self._socket.recv(max_bytes):
                    return data
                raise anyio.EndOfStream

    async def send(self, item: bytes) -> None:
        rest = memoryview(item)
        while rest:
            try:
                rest = rest[self._socket.send(rest) :]
            except BlockingIOError:
                await anyio.wait_writable(self._socket)

    # Of anyio's interface; TLS sends the end of what it writes in a message of its own.
    async def send_eof(self) -> None:  # pragma: no cover
        self._socket.shutdown(socket.SHUT_WR)

    async def aclose(self) -> None:  # pragma: no cover
        self.close()

    def close(self) -> None:
        """Close it at once, from any thread, without any event loop."""
        self._socket.close()

    def interrupt(self) -> None:
        """End the connection while a task uses it; the task notices, and closes."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def is_readable(self) -> bool:
        """Whether there is something to receive: bytes, the end, or an error."""
        try:
            self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True


async def open_stream(
    url: ServerUrl, addresses: Addresses, context: ssl.SSLContext | None
) -> tuple[SocketStream, ByteStream]:
    """
    Connect to a server.

    Args:
        url: The server, as errors name it.
        addresses: Where it is.
        context: Whom to trust; None to do without TLS.

    Returns:
        The stream of the socket, and the stream to send and receive by, which
        is the same without TLS.

    Raises:
        AttemptFailed: There is no connection.
    """
    try:
        with anyio.fail_after(_CONNECT_SECONDS):
            raw = await _open_socket(addresses)
            if context is None:
                return raw, raw
            return raw, await _secure(raw, url, context)
    except CUT as error:
        refused = isinstance(error, ConnectionRefusedError)
        raise AttemptFailed(
            f"no answer from {url}: {_words(error)}", refused=refused
        ) from None


async def _open_socket(addresses: Addresses) -> SocketStream:
    return SocketStream(await addresses.connect())


async def _secure(
    raw: SocketStream, url: ServerUrl, context: ssl.SSLContext
) -> TLSStream:
    try:
        return await TLSStream.wrap(
            raw, server_side=False, hostname=url.host, ssl_context=context
        )
    except ssl.SSLError as error:
        raw.close()
        raise AttemptFailed(f"{url} {handshake_failed(error)}", final=True) from None
    except BaseException:
        raw.close()
        raise


def _words(error: Exception) -> str:
    """Return why there is no connection, and what to do about it if that is known."""
    match error:
        case ConnectionRefusedError():
            return "connection refused"
        case socket.gaierror():
            return f"{error.strerror}; is the name right?"
        case TimeoutError():
            return "connecting took too long; is the host up, and the port open?"
        case OSError(errno=code) if code in (EMFILE, ENFILE):
            return "too many open files here; raise `ulimit -n`"
        case OSError():
            return str(error.strerror or error)
        case _:
            return "the connection was cut while it was made"
