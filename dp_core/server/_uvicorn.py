"""
`Server`: uvicorn with bounds on heads and silence, and a stop that answers waits.

uvicorn waits for running requests before it exits, and a wait may last for
months, so `Server` answers the waits first. uvicorn reads heads of any size and
waits for requests for ever, so `Protocol` bounds both.
"""

from __future__ import annotations

import asyncio
import re
import signal
import socket
from collections.abc import Callable
from types import FrameType
from typing import Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from dp_core.server._app import App

__all__ = ["Server"]

MAX_HEAD_BYTES: Final = 64 * 1024
"""The largest request line and headers, together."""

IDLE_SECONDS: Final = 60
"""The longest silence of a client between two requests, or within one."""

# Clients that would rather speak HTTP/2, such as Java's, offer an upgrade with
# their first request. A server may ignore it (RFC 9110 §7.8), but httptools
# takes the request's body for the other protocol's.
_UPGRADE: Final = re.compile(rb"\r\nUpgrade:", re.IGNORECASE)


class Protocol(HttpToolsProtocol):
    """HTTP/1.1, with bounds on the size of a head and on a client's silence."""

    _head = 0
    """Bytes of a head that is not complete."""
    _body = False
    """Whether there is a body that is not complete."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._close_if_silent()

    def data_received(self, data: bytes) -> None:
        if not self._head and _UPGRADE.search(data):
            head, end, rest = data.partition(b"\r\n\r\n")
            data = _UPGRADE.sub(b"\r\nX-Upgrade:", head) + end + rest
        self._head += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._head > MAX_HEAD_BYTES:
            self.send_400_response("Request head too long.")
        elif self._head or self._body:
            self._close_if_silent()

    def on_headers_complete(self) -> None:
        self._head, self._body = 0, True
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._head = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._head, self._body = 0, False
        super().on_message_complete()

    def _close_if_silent(self) -> None:
        # uvicorn's timer for idle connections: the next piece of data stops it.
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )


class Server(uvicorn.Server):
    """uvicorn that answers waits when it is told to stop."""

    def __init__(
        self, app: App, grace_seconds: int, started: Callable[[], None]
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=Protocol,
                ws="none",
                lifespan="off",
                # Paths hold ids, which are nobody's business in a log.
                access_log=False,
                log_config=None,
                log_level="error",
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=IDLE_SECONDS,
                timeout_graceful_shutdown=grace_seconds,
            )
        )
        self._app = app
        self._on_started = started
        self._stopped = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_started()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # uvicorn would keep the signal and raise it again after the shutdown.
        if self.should_exit:
            signal.signal(sig, signal.SIG_DFL)
            signal.raise_signal(sig)
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._stopped = True
        self._app.stop()
        await super().shutdown(sockets)

    async def finish(self, sockets: list[socket.socket]) -> None:
        """Shut down, unless that was done: where `serve` was cancelled."""
        if self.started and not self._stopped:
            await self.shutdown(sockets)
