"""
`Places`: requests that are held, bounded, dropped with their client, ended by a stop.

A held request costs a connection and two tasks. It gives them back the moment
its client goes away, because a promise may stay pending for months. No server can
see every departure: a client that sent another request before it left has hidden it
behind that. So when places are short, the request that has been held longest is
ended, never the newcomer; who is still there asks again. `Settings.max_waiters` says
how many there are.

Nobody is told more than a token allows: with that a held request ends, too.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, TypeVar, final

from anyio import CancelScope, create_task_group, sleep
from starlette.types import Receive

from dp_core._access import TOKEN_IS_OVER, Access
from dp_core._errors import ProtocolError
from dp_core.server._guarding import ClientGoneError

__all__ = ["HELD_SECONDS", "Places"]

T = TypeVar("T")

HELD_SECONDS: Final = 3600.0
"""The longest time for which a request is held."""

_LOOK_SECONDS: Final = 10.0
"""The longest time without a look at the clock, which somebody may set."""


@dataclass(eq=False, slots=True)
class _HeldRequest:
    """
    A request that waits.

    Attributes:
        scope: Cancelling it ends the wait.
        ids: The number of promises that it waits for as a stream.
        ended: The reason to raise where the wait ended early.
    """

    scope: CancelScope
    ids: int
    ended: Exception = field(default_factory=ClientGoneError)

    def end(self, why: Exception) -> None:
        """End the wait early."""
        self.ended = why
        self.scope.cancel()


@final
class Places:
    """
    The requests that one server holds.

    Args:
        limit: The most of them.
        most_ids: The most promises of all event streams together.
    """

    def __init__(self, limit: int, most_ids: int) -> None:
        self._limit = limit
        self._most_ids = most_ids
        self._ids = 0
        # In the order in which they came.
        self._running: dict[_HeldRequest, None] = {}
        self._stopped = False

    @property
    def waiters(self) -> int:
        """The number of requests that are held."""
        return len(self._running)

    @property
    def streams(self) -> int:
        """The number of those that are event streams."""
        return sum(1 for held in self._running if held.ids)

    @property
    def watched(self) -> int:
        """The number of promises of all event streams together."""
        return self._ids

    @property
    def is_stopped(self) -> bool:
        """Whether the server stops."""
        return self._stopped

    async def hold(
        self,
        receive: Receive,
        work: Callable[[], Awaitable[T]],
        access: Access | None = None,
        ids: int = 0,
    ) -> T:
        """
        Return what *work* returns, which runs while the request is held.

        Args:
            receive: The ASGI channel, which reports when the client goes away;
                the request's body was received already.
            work: Waits on behalf of the client.
            access: The client's, with which the request ends.
            ids: The number of promises, of an event stream.

        Raises:
            Exception: What *work* raises.
            ProtocolError: Another request needed the place, the server stops (503),
                or the client's token is over (401).
            ClientGoneError: The client went away.
        """
        if self._stopped:
            raise _stopping()
        self._make_room(ids)
        result: tuple[T] | Exception | None = None
        async with create_task_group() as group:
            held = _HeldRequest(group.cancel_scope, ids)
            self._running[held] = None
            self._ids += ids
            try:
                group.start_soon(_end_with_client, receive, held)
                if access is not None and access.expires is not None:
                    group.start_soon(_end_with_access, access.expires, held)
                result = (await work(),)
            except Exception as error:  # noqa: BLE001 - the task group would wrap it
                result = error
            finally:
                self._remove(held)
            group.cancel_scope.cancel()
        if result is None:
            raise held.ended
        if isinstance(result, Exception):
            raise result
        return result[0]

    def stop(self) -> None:
        """End all, and hold no more. Called in the event loop."""
        self._stopped = True
        for held in self._running:
            held.end(_stopping())

    def _make_room(self, ids: int) -> None:
        """End those that have been held longest, if there is no place left."""
        if not self._limit:
            raise self._no_place()
        while len(self._running) >= self._limit:
            self._end(next(iter(self._running)), self._no_place())
        while self._ids + ids > self._most_ids:
            streams = (held for held in self._running if held.ids)
            error = ProtocolError(
                503, f"{self._most_ids:,} promises are watched, and others need a place"
            )
            oldest = next(streams, None)
            if oldest is None:
                raise error
            self._end(oldest, error)

    def _no_place(self) -> ProtocolError:
        return ProtocolError(
            503, f"{self._limit:,} requests wait, and another one needs a place"
        )

    def _end(self, held: _HeldRequest, why: ProtocolError) -> None:
        self._remove(held)
        held.end(why)

    def _remove(self, held: _HeldRequest) -> None:
        if held in self._running:
            del self._running[held]
            self._ids -= held.ids


async def _end_with_client(receive: Receive, held: _HeldRequest) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    held.end(ClientGoneError())


async def _end_with_access(expires: float, held: _HeldRequest) -> None:
    while (left := expires - time.time()) > 0:  # noqa: ASYNC110 - clocks do not ring
        await sleep(min(left, _LOOK_SECONDS))
    held.end(ProtocolError(401, TOKEN_IS_OVER))


def _stopping() -> ProtocolError:
    return ProtocolError(503, "the server stops; ask again")
