"""`Proxy`: it stands before a server, and cuts a connection at one exact byte."""

from __future__ import annotations

import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Self

import anyio
from anyio.abc import SocketAttribute, SocketStream

from support.http._streams import CUT, port_of


@dataclass(eq=False)
class Proxy:
    """
    A TCP proxy that cuts one connection at one byte, when it is armed.

    Attributes:
        upstream: The port it forwards to.
        side: Which of the two is cut, "request" or "response".
        limit: How many bytes of it get through; None for all.
        reset: Whether the client sees RST instead of FIN.
        armed: Whether the next request is the one that is cut, or whose response
            is.
        passed: How many bytes of that request, or response, got through.
        connections: How many connections it accepted.
        url: Where it listens.
    """

    upstream: int
    side: str
    limit: int | None = None
    reset: bool = False
    armed: bool = False
    passed: int = 0
    connections: int = 0
    url: str = ""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Self]:
        """Serve until the block ends; then cut all connections."""
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
        self.url = f"http://127.0.0.1:{port_of(listener)}"
        async with listener, anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, self._serve)
            yield self
            tasks.cancel_scope.cancel()

    async def _serve(self, client: SocketStream) -> None:
        self.connections += 1
        async with (
            client,
            await anyio.connect_tcp("127.0.0.1", self.upstream) as server,
        ):
            cut: list[str] = []
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._pump, "request", client, server, cut, tasks)
                tasks.start_soon(self._pump, "response", server, client, cut, tasks)
            if cut and self.reset:
                # Closing it now, with nothing lingering, sends RST.
                sock = client.extra(SocketAttribute.raw_socket)  # noqa: S610 - anyio's
                sock.setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                )

    async def _pump(
        self,
        side: str,
        source: SocketStream,
        sink: SocketStream,
        cut: list[str],
        tasks: anyio.abc.TaskGroup,
    ) -> None:
        """Forward bytes up to the cut, and then end both directions."""
        with suppress(*CUT):
            while True:
                data = await source.receive()
                if self.armed and side == "request":
                    self.armed = False
                    cut.append(self.side)
                if side in cut:
                    data = data[: self._left()]
                    self.passed += len(data)
                if data:
                    await sink.send(data)
                if side in cut and self._left() == 0:
                    break
        tasks.cancel_scope.cancel()

    def _left(self) -> int | None:
        return None if self.limit is None else self.limit - self.passed
