"""
`Streams`: requests that wait for many promises, answered by an event stream.

A client that reads slowly costs a bounded buffer: what does not fit is not told, but
that there is an outcome to ask for. One that does not read at all is given up.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Final, final

import anyio
from starlette.types import Receive, Send

from dp_core._access import Access
from dp_core._errors import PromiseDisposedError, ProtocolError
from dp_core.backend import Backend, Told, watch_all
from dp_core.server._guarding import ClientGoneError
from dp_core.server._routing import Header
from dp_core.server._waiting import _holding
from dp_core.server._waiting._event_stream import COMMENT_SECONDS, STREAM_HEADERS
from dp_core.server._waiting._holding import Places
from dp_core.wire import WatchCall, write_comment, write_event

__all__ = ["Streams"]

_BUFFER_BYTES: Final = 256 * 1024
"""The length of unsent events from which outcomes are not told but to be asked for."""

_PAUSE: Final = 0.005
"""Seconds after something was sent, in which what comes is sent together."""


@final
class Streams:
    """
    All requests that are answered by an event stream, of one backend.

    Args:
        backend: The backend.
        places: The requests that are held.
        send_seconds: The longest time for which a client may read nothing.
    """

    def __init__(self, backend: Backend, places: Places, send_seconds: float) -> None:
        self._backend = backend
        self._places = places
        self._send_seconds = send_seconds

    async def answer(
        self,
        call: WatchCall,
        receive: Receive,
        send: Send,
        headers: tuple[Header, ...],
        access: Access | None = None,
    ) -> Exception | None:
        """
        Answer by an event stream, until all is told.

        Args:
            call: The promises.
            receive: As for `Places.hold`.
            send: The ASGI channel.
            headers: What else to say in the head.
            access: As for `Places.hold`.

        Returns:
            The failure that has ended the stream before all was told, if one has.

        Raises:
            BackendError: The store failed, and nothing was sent.
            ProtocolError: There is no place, and nothing was sent.
            ClientGoneError: The client went away, or reads nothing.
        """
        writer = _EventWriter(send, headers, self._send_seconds)
        failure: Exception | None = None
        try:
            await self._places.hold(
                receive, partial(self._watch, call, writer), access, len(call.ids)
            )
        except ClientGoneError:
            raise
        except Exception as error:
            if not writer.has_begun:
                raise
            # Who is still there asks again for what was not told.
            failure = None if isinstance(error, ProtocolError) else error
        await writer.end()
        return failure

    async def _watch(self, call: WatchCall, writer: _EventWriter) -> None:
        async with watch_all(self._backend, call.ids) as watch:
            await writer.begin()
            with anyio.move_on_after(_holding.HELD_SECONDS):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(writer.collect, watch)
                    await writer.run()
                    tasks.cancel_scope.cancel()
        if writer.is_stuck:
            raise ClientGoneError
        if writer.failure is not None:
            raise writer.failure


class _EventWriter:
    """
    One response, which is an event stream.

    Attributes:
        has_begun: Whether its head was sent.
        is_stuck: Whether the client has read nothing for too long.
        failure: Why there will be no more events, where not all are told.
    """

    def __init__(
        self, send: Send, headers: tuple[Header, ...], send_seconds: float
    ) -> None:
        self._send = send
        self._headers = headers
        self._send_seconds = send_seconds
        self._unsent = bytearray()
        self._is_whole = False
        self._bell = anyio.Event()
        self.has_begun = False
        self.is_stuck = False
        self.failure: Exception | None = None

    async def begin(self) -> None:
        """Say that all promises are watched."""
        self.has_begun = True
        headers = [*self._headers, *STREAM_HEADERS]
        await self._send(
            {"type": "http.response.start", "status": 200, "headers": headers}
        )
        await self._write(write_comment())

    async def collect(self, watch: AsyncIterator[Told]) -> None:
        """Make events of what is told, however slowly they are read."""
        try:
            async for id, told in watch:
                fits = len(self._unsent) < _BUFFER_BYTES
                is_short = isinstance(told, PromiseDisposedError)
                self._unsent += write_event(id, told if fits or is_short else None)
                self._bell.set()
        except Exception as error:  # noqa: BLE001 - a task group would wrap it
            self.failure = error
        self._is_whole = True
        self._bell.set()

    async def run(self) -> None:
        """Send events as they come, and comments in between, until all are sent."""
        comment_at = anyio.current_time() + COMMENT_SECONDS
        while not self.is_stuck:
            with anyio.CancelScope(deadline=comment_at):
                await self._bell.wait()
            self._bell = anyio.Event()
            if anyio.current_time() >= comment_at:
                self._unsent += write_comment()
                comment_at = anyio.current_time() + COMMENT_SECONDS
            unsent, self._unsent = self._unsent, bytearray()
            if unsent:
                await self._write(bytes(unsent))
            if self._is_whole and not self._unsent:
                return
            await anyio.sleep(0 if self._is_whole else _PAUSE)

    async def end(self) -> None:
        """Say that nothing more comes."""
        with anyio.move_on_after(self._send_seconds):
            await self._send({"type": "http.response.body", "body": b""})

    async def _write(self, piece: bytes) -> None:
        with anyio.move_on_after(self._send_seconds) as scope:
            await self._send(
                {"type": "http.response.body", "body": piece, "more_body": True}
            )
        self.is_stuck = scope.cancelled_caught
