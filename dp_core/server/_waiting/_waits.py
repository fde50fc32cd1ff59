"""`Waits`: requests that wait for one promise."""

from __future__ import annotations

from functools import partial
from typing import final

from starlette.types import Receive

from dp_core._access import Access
from dp_core._errors import ProtocolError
from dp_core._states import Outcome, Pending
from dp_core.backend import Backend, wait_or_peek
from dp_core.server._waiting import _holding
from dp_core.server._waiting._holding import Places

__all__ = ["Waits"]


@final
class Waits:
    """All requests that wait for one promise each, of one backend."""

    def __init__(self, backend: Backend, places: Places) -> None:
        self._backend = backend
        self._places = places

    async def outcome(
        self,
        id: str,
        receive: Receive,
        seconds: float | None,
        access: Access | None = None,
    ) -> Pending | Outcome[bytes]:
        """
        Wait for a promise on behalf of a client.

        Args:
            id: The promise's id.
            receive: As for `Places.hold`.
            seconds: The longest wait; None for as long as it takes.
            access: As for `Places.hold`.

        Returns:
            The outcome, or `Pending` when the time is over.

        Raises:
            PromiseDisposedError: The promise was disposed of meanwhile.
            ProtocolError: Another request needed the place, the server stops, the
                request was held for an hour, or the client's token is over.
            ClientGoneError: The client went away.
        """
        state = await self._backend.peek(id)
        if not isinstance(state, Pending):
            return state
        longest = _holding.HELD_SECONDS
        held = longest if seconds is None else min(seconds, longest)
        state = await self._places.hold(
            receive, partial(wait_or_peek, self._backend, id, held), access
        )
        if isinstance(state, Pending) and held != seconds:
            raise ProtocolError(503, f"held for {longest:,.0f} s; ask again")
        return state
