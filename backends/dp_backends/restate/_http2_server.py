"""`run_app`: granian with the app of the handlers, until it is cancelled."""

from __future__ import annotations

import asyncio
from typing import Any, Final, TypeAlias, final

import anyio
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP2Settings
from granian.log import LogLevels
from granian.server.embed import Server

from dp_core import BackendError
from dp_core.backend import ForeignThreads

__all__ = ["run_app"]

App: TypeAlias = Any
"""An ASGI app; the SDK has a type of its own for it."""

_STREAMS: Final = 100_000
"""The most concurrent calls: high, because Restate has limits of its own."""

_STOP_SECONDS: Final = 5.0
"""The longest time that granian may take to stop, and then its threads to end."""


async def run_app(app: App, host: str, port: int, listening: anyio.Event) -> None:
    """
    Serve an ASGI app over HTTP/2 until cancelled; then end its calls, and the server.

    Args:
        app: The app.
        host: The IP address to listen at.
        port: The port to listen at; nobody listens there.
        listening: Set once the server listens.

    Raises:
        BackendError: The server has stopped by itself.
    """
    threads = ForeignThreads()
    calls = _CancellableApp(app)
    server = Server(
        calls,
        address=host,
        port=port,
        interface=Interfaces.ASGINL,
        http=HTTPModes.http2,
        http2_settings=HTTP2Settings(max_concurrent_streams=_STREAMS),
        websockets=False,
        backpressure=_STREAMS,
        log_level=LogLevels.critical,
    )
    server.on_startup(listening.set)
    serving = asyncio.get_running_loop().create_task(server.serve())
    try:
        await asyncio.wait({serving})
    finally:
        with anyio.CancelScope(shield=True):
            calls.cancel()
            server.stop()  # type: ignore[no-untyped-call] # Granian's
            await asyncio.wait({serving}, timeout=_STOP_SECONDS)
            serving.cancel()
            await threads.wait_until_ended(_STOP_SECONDS)
    failure = None if serving.cancelled() else serving.exception()
    raise BackendError(
        "the server of the handlers has stopped; start it again"
    ) from failure


@final
class _CancellableApp:
    """
    An app whose running calls can be cancelled.

    Granian waits for running calls before it stops, and a handler may wait for months.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._running: set[anyio.CancelScope] = set()
        self._is_over = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a call, until it is cancelled."""
        with anyio.CancelScope() as call:
            self._running.add(call)
            if self._is_over:
                call.cancel()
            try:
                await self._app(scope, receive, send)
            finally:
                self._running.discard(call)

    def cancel(self) -> None:
        """Cancel the calls that run, and those that still come."""
        self._is_over = True
        for call in self._running:
            call.cancel()
