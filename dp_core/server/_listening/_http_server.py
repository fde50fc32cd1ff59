"""
`HttpServer`: Granian in this event loop, with bounds, and a stop that answers waits.

Granian is used as it is, by its documented arguments. It bounds heads, pipelining,
silence and the number of connections. It waits for running requests before it ends,
and a wait may last for months, so the app answers its waits first. What the kernel
does better is left to it: a peer that never reads is aborted by an option of the
listening socket, and what is still open at the end is shut down.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from typing import Any, Final, Protocol

import anyio
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server
from starlette.types import Receive, Scope, Send

from dp_core._errors import BackendUnavailableError
from dp_core.backend import ForeignThreads
from dp_core.server._listening._listener import BACKLOG, take_over
from dp_core.server._listening._sockets import (
    Descriptor,
    bound_sockets,
    connections,
    find_listener,
    waiting_to_be_accepted,
)
from dp_core.server._settings import Settings

__all__ = ["HttpServer", "Served"]

MAX_HEAD_BYTES: Final = 64 * 1024
"""The size from which a request line and its headers are refused."""

_LOOK_SECONDS: Final = 1.0
"""The time between two looks at connections that wait to be accepted."""

_SPARE_PART: Final = 8
"""The part of all connections that is made free when they become short."""

_ABORTED_SECONDS: Final = 2.0
"""The longest time that the end of aborted connections may take."""

# Granian would set up the logging of the whole process.
_NO_LOGGING: Final[dict[str, Any]] = {
    "incremental": True,
    "handlers": {},
    "loggers": {},
}


class Served(Protocol):
    """An ASGI app that can be told to stop, and says who is being answered."""

    @property
    def asking(self) -> AbstractSet[tuple[str, int]]:
        """Peers whose requests are not answered yet."""

    def stop(self) -> None:
        """Answer all that wait."""

    def look(self, closed: int, most: int) -> None:
        """Take note of the time, and of idle connections that had to be closed."""

    async def sweep(self) -> None:
        """Settle what is over, until cancelled."""

    async def deliver(self) -> None:
        """Make callbacks, until cancelled."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""


class HttpServer:
    """
    An app at an address, from `run` to its end.

    Args:
        app: The app.
        held: A socket that holds the address; it is closed.
        settings: Bounds.
        most_connections: The most connections at once; others wait for theirs.
    """

    def __init__(
        self,
        app: Served,
        held: socket.socket,
        settings: Settings,
        most_connections: int,
    ) -> None:
        self._app = app
        self._held = held
        self._settings = settings
        self._most = most_connections
        self._host, self._port = held.getsockname()[:2]
        self._ended = anyio.Event()
        self._threads = ForeignThreads()
        self._left: list[Descriptor] = []
        self._server = Server(
            app,
            address=self._host,
            port=self._port,
            interface=Interfaces.ASGINL,
            http=HTTPModes.http1,
            websockets=False,
            backlog=BACKLOG,
            backpressure=most_connections,
            http1_settings=HTTP1Settings(
                # Also the longest silence between two requests.
                header_read_timeout=round(settings.idle_seconds * 1000),
                max_buffer_size=MAX_HEAD_BYTES,
            ),
            log_enabled=False,
            log_dictconfig=_NO_LOGGING,
        )
        self._server.on_startup(self._note_what_is_left)

    async def run(self, started: Callable[[], object], stop: anyio.Event) -> None:
        """
        Serve until *stop*; then answer waits, and let running operations finish.

        Args:
            started: Called once clients can connect.
            stop: Tells to stop.

        Raises:
            BackendUnavailableError: The HTTP server cannot listen, or has ended.
        """
        serving = asyncio.get_running_loop().create_task(self._server.serve())
        serving.add_done_callback(lambda _: self._ended.set())
        listener: socket.socket | None = None
        try:
            listener = await self._listener()
            started()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._make_room, listener)
                tasks.start_soon(self._until_it_ends, tasks.cancel_scope)
                tasks.start_soon(self._app.sweep)
                tasks.start_soon(self._app.deliver)
                await stop.wait()
                tasks.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                ended_by_itself = serving.done()
                await self._finish(serving)
            for each in (self._held, listener):
                if each is not None:
                    each.close()
            for left in self._left:
                left.close()
        if ended_by_itself:
            raise _ended()

    async def _listener(self) -> socket.socket:
        """Return Granian's listening socket, once it has one, ready for clients."""
        while not self._ended.is_set():
            found = find_listener((self._host, self._port), self._held)
            if found is not None:
                take_over(found, self._settings.send_seconds)
                self._held.close()
                return found
            await anyio.sleep(0.001)
        raise _ended()

    def _note_what_is_left(self) -> None:
        """
        Note the socket by which Granian keeps the port, before it opens another one.

        Other processes of Granian would share the port with it. Here it serves for
        nothing, and is not closed by Granian, which has no more hold on it. Only on
        Linux are there two; elsewhere the one that is found here is the listener.
        """
        if sys.platform == "linux":
            self._left = bound_sockets((self._host, self._port), self._held)

    async def _until_it_ends(self, scope: anyio.CancelScope) -> None:
        await self._ended.wait()
        scope.cancel()

    async def _make_room(self, listener: socket.socket) -> None:
        """Close the longest idle connections where others wait to be accepted."""
        while True:
            await anyio.sleep(_LOOK_SECONDS)
            wanted, closed = waiting_to_be_accepted(listener), 0
            if wanted:
                closed = self._close_idle(max(wanted, self._most // _SPARE_PART))
            self._app.look(closed, self._most)

    def _close_idle(self, wanted: int) -> int:
        """Close as many idle connections, if all that may be are in use."""
        asking = self._app.asking
        idle: list[tuple[int, tuple[str, int]]] = []
        total = 0
        for each in connections(self._port):
            total += 1
            if each.silent_ms >= _LOOK_SECONDS * 1000 and each.peer not in asking:
                idle.append((each.silent_ms, each.peer))
        if total < self._most:
            return 0
        chosen = {peer for _, peer in sorted(idle, reverse=True)[:wanted]}
        for each in connections(self._port):
            if each.peer in chosen and each.peer not in asking:
                each.shut_down()
        return len(chosen)

    async def _finish(self, serving: asyncio.Task[None]) -> None:
        self._app.stop()
        self._server.stop()  # type: ignore[no-untyped-call] # Granian's
        if serving.done():
            return
        await asyncio.wait({serving}, timeout=self._settings.grace_seconds)
        if not serving.done():
            for each in connections(self._port):
                each.shut_down()
            await asyncio.wait({serving}, timeout=_ABORTED_SECONDS)
        if not serving.done():
            serving.cancel()
        await self._threads.wait_until_ended(_ABORTED_SECONDS)


def _ended() -> BackendUnavailableError:
    return BackendUnavailableError("the HTTP server has ended; start it again")
