"""`ScriptedStream`: a request for an event stream, answered as a test says."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import anyio
from anyio.abc import SocketStream

from dp_core import Outcome
from dp_core.wire import write_comment, write_event
from support.http._streams import CUT

__all__ = ["BEGUN", "ScriptedStream"]

BEGUN: Final = write_comment()
"""The comment by which a stream begins."""

_HEAD: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)


@dataclass(eq=False)
class ScriptedStream:
    """
    A request for an event stream.

    Attributes:
        ids: The promises that it asks for.
        connection: Where it came.
        is_left: Set once the client has hung up, or was hung up on.
    """

    ids: tuple[str, ...]
    connection: SocketStream
    is_left: anyio.Event = field(default_factory=anyio.Event)
    _has_head: bool = False

    async def say(self, *pieces: bytes) -> None:
        """Send pieces of the stream together, after its head."""
        text = b"".join(pieces)
        head = b"" if self._has_head else _HEAD
        self._has_head = True
        await self.connection.send(head + b"%x\r\n%b\r\n" % (len(text), text))

    async def tell(self, id: str, told: Outcome[bytes] | None) -> None:
        """Tell of a promise."""
        await self.say(write_event(id, told))

    async def answer(self, response: bytes) -> None:
        """Send another response in its place."""
        await self.connection.send(response)

    async def cut(self) -> None:
        """Hang up."""
        await self.connection.aclose()
        self.is_left.set()

    async def last(self) -> None:
        """Return when the client hangs up, or it is cut."""
        with suppress(*CUT):
            await self.connection.receive()
        self.is_left.set()
