"""
`Waits`: requests that wait, bounded, dropped with their client, ended by a stop.

A held request costs a connection and two tasks. It gives them back the moment
its client goes away, because a promise may stay pending for months. No server can
see every departure: a client that sent another request before it left has hidden it
behind that. So when places are short, the wait that has been held longest is
answered 503, never the newcomer; who is still there asks again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from anyio import CancelScope, create_task_group
from starlette.types import Receive

from dp_core._errors import DurablePromiseError, ProtocolError
from dp_core._states import Outcome, Pending, State
from dp_core.backend import Backend, wait_or_peek
from dp_core.server._guarding import ClientGoneError

__all__ = ["Waits"]

HELD_SECONDS: Final = 3600.0
"""The longest time for which a request is held."""


@dataclass(eq=False)
class _HeldRequest:
    """
    A request that waits.

    Attributes:
        scope: Cancelling it ends the wait.
        ended: The reason to raise where the wait ended early.
    """

    scope: CancelScope
    ended: Exception = field(default_factory=ClientGoneError)

    def end(self, why: Exception) -> None:
        """End the wait early."""
        self.ended = why
        self.scope.cancel()


class Waits:
    """All requests that wait for promises of one backend."""

    def __init__(self, backend: Backend, limit: int) -> None:
        self._backend = backend
        self._limit = limit
        # In the order in which they came.
        self._running: dict[_HeldRequest, None] = {}
        self._stopped = False

    async def outcome(
        self, id: str, receive: Receive, seconds: float | None
    ) -> Pending | Outcome[bytes]:
        """
        Wait for a promise on behalf of a client.

        Args:
            id: The promise's id.
            receive: The ASGI channel, which reports when the client goes away;
                the request's body was received already.
            seconds: The longest wait; None for as long as it takes.

        Returns:
            The outcome, or `Pending` when the time is over.

        Raises:
            PromiseDisposedError: The promise was disposed of meanwhile.
            ProtocolError: Another request needed the place, the server stops, or
                the request was held for an hour.
            ClientGoneError: The client went away.
        """
        state = await self._backend.peek(id)
        if not isinstance(state, Pending):
            return state
        if self._stopped:
            raise _stopping()
        self._make_room()
        held = HELD_SECONDS if seconds is None else min(seconds, HELD_SECONDS)
        result: State[bytes] | DurablePromiseError | None = None
        async with create_task_group() as group:
            wait = _HeldRequest(group.cancel_scope)
            self._running[wait] = None
            try:
                group.start_soon(_end_with_client, receive, wait)
                result = await self._result(id, held)
            finally:
                self._running.pop(wait, None)
            group.cancel_scope.cancel()
        if result is None:
            raise wait.ended
        if isinstance(result, DurablePromiseError):
            raise result
        if isinstance(result, Pending) and held != seconds:
            raise ProtocolError(503, f"held for {HELD_SECONDS:,.0f} s; ask again")
        return result

    def stop(self) -> None:
        """End all waits, and refuse new ones. Called in the event loop."""
        self._stopped = True
        for wait in self._running:
            wait.end(_stopping())

    def _make_room(self) -> None:
        """Answer the wait that has been held longest, if there is no place left."""
        if len(self._running) < self._limit:
            return
        error = ProtocolError(
            503, f"{self._limit:,} requests wait, and another one needs a place"
        )
        if not self._running:
            raise error
        oldest = next(iter(self._running))
        del self._running[oldest]
        oldest.end(error)

    async def _result(
        self, id: str, seconds: float
    ) -> State[bytes] | DurablePromiseError:
        try:
            return await wait_or_peek(self._backend, id, seconds)
        except DurablePromiseError as error:
            # Returned, because the task group would wrap what is raised here.
            return error


async def _end_with_client(receive: Receive, wait: _HeldRequest) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    wait.end(ClientGoneError())


def _stopping() -> ProtocolError:
    return ProtocolError(503, "the server stops; ask again")
