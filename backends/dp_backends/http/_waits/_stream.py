"""`Stream`: one event stream that has begun, and the callers that wait on it."""

from __future__ import annotations

from collections import deque
from random import uniform
from typing import Final, TypeAlias

import anyio

from dp_backends._urls import RETRY_SECONDS
from dp_backends.http._calling import WireClient
from dp_backends.http._retry import AttemptFailed, RetryBudget
from dp_backends.http._waits._event_source import EventSource, NotAStreamError
from dp_backends.http._waits._interest import Caller, Callers
from dp_core import (
    DurablePromiseError,
    Outcome,
    Pending,
    PromiseDisposedError,
    State,
)
from dp_core.backend import LeaderFollowers, Waiters
from dp_core.wire import Event, Notification, Peek

__all__ = ["CallersById", "Stream"]

CallersById: TypeAlias = Waiters[str, Caller]

_SILENT_SECONDS: Final = 45.0
"""Seconds of silence after which a stream is dead: three comments did not come."""

_SHORT_SECONDS: Final = 0.9
"""The life of a stream that must not be followed by the next one at once."""


class Stream:
    """
    One event stream.

    Args:
        client: The client that has asked for it.
        source: Its events, from the first comment on.
        by_id: The callers that are to be told, by the ids of their promises.
        gate: Where they go from here.

    Attributes:
        callers: The callers that wait here.
    """

    def __init__(
        self,
        client: WireClient,
        source: EventSource,
        by_id: CallersById,
        gate: Callers,
    ) -> None:
        self.callers: Callers = LeaderFollowers(self._lead)
        self._client = client
        self._source: EventSource | None = source
        self._by_id = by_id
        self._gate = gate
        self._to_ask: deque[str] = deque()
        self._scope = anyio.CancelScope()
        self._is_led = False
        self._is_stopped = False
        self._begun_at = self._heard_at = anyio.current_time()
        self._take(source.early)

    def __len__(self) -> int:
        return len(self._by_id)

    def untold(self) -> CallersById:
        """Return the callers that still wait here, by the ids of their promises."""
        untold: CallersById = Waiters()
        for caller in self.callers:
            for id in caller.request.ids:
                untold.add(id, caller)
        return untold

    def close(self) -> None:
        """Give the connection back; before the end of the stream, it is cut."""
        source, self._source = self._source, None
        if source is not None:
            source.close()

    def stop(self) -> None:
        """End the reading: its callers wait elsewhere."""
        self._is_stopped = True
        self._scope.cancel()
        if not self._is_led:
            self.close()

    async def _lead(self, leader: Caller) -> None:
        self._is_led = True
        try:
            with anyio.CancelScope() as self._scope:
                await self._read(leader)
        finally:
            self._is_led = False
            # Only now does nobody wait for the connection any more.
            if self._is_stopped:
                self.close()

    async def _read(self, leader: Caller) -> None:
        # What was left to be asked for by a leader that was cancelled.
        while self._source is not None and not leader.is_done:
            try:
                if self._to_ask:
                    await self._ask(self._to_ask[0])
                elif self._source.is_over:
                    self.close()
                else:
                    await self._receive(self._source)
            except (AttemptFailed, NotAStreamError):
                self.close()
                self._client.outage.suspect()
        if self._source is None and len(self.callers):
            if anyio.current_time() < self._begun_at + _SHORT_SECONDS:
                # A server that ends what has begun must not be run hot.
                await anyio.sleep(uniform(0.5, 2))  # noqa: S311 - no secret
            self.callers.move_to(self._gate)

    async def _receive(self, source: EventSource) -> None:
        with anyio.CancelScope(deadline=self._heard_at + _SILENT_SECONDS) as scope:
            events = await source.receive()
        if scope.cancelled_caught:
            raise AttemptFailed("nothing was heard for too long")
        self._take(events)

    def _take(self, events: list[Event]) -> None:
        if events:
            self._heard_at = anyio.current_time()
        for event in events:
            if isinstance(event, Notification):
                if event.told is None:
                    self._to_ask.append(event.id)
                else:
                    self._tell(event.id, event.told)

    def _tell(self, id: str, told: Outcome[bytes] | PromiseDisposedError) -> None:
        for caller in self._by_id.pop(id):
            caller.request.tell(caller, id, told)

    async def _ask(self, id: str) -> None:
        """
        Ask for an outcome that is too long for an event.

        Raises:
            AttemptFailed: Another attempt may succeed.
        """
        budget = RetryBudget(max(self._client.url.retry, RETRY_SECONDS))
        try:
            state: State[bytes] = await self._client.attempt(
                Peek(id),
                budget,
                tuple(caller.operation for caller in self._by_id.of(id)),
            )
        except DurablePromiseError as error:
            for caller in self._by_id.pop(id):
                caller.set_exception(error)
        else:
            if isinstance(state, Pending):
                self._tell(id, PromiseDisposedError(id))
            else:
                self._tell(id, state)
        self._to_ask.popleft()
