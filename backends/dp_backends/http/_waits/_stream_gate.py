"""
`StreamGate`: a few requests for all promises that are waited for in one event loop.

Callers gather at the *gate*. Its leader asks for a stream for those that are there; who
comes later asks for the next one, so nobody hears of a disposal from before it came.
Once all promises are watched, the callers move from the gate to their stream, where one
of them leads and reads. After a cut those that are left come back to the gate.

One stream is asked for at a time, so who comes meanwhile gathers by itself. It takes
along the promises of streams that are not much larger than it is, which end once it has
begun. So there are few streams, and an id is sent a few times only (as in a tree of
sorted runs that are merged by size).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import anyio
from anyio.lowlevel import checkpoint

from dp_backends._urls import RETRY_SECONDS
from dp_backends.http._calling import SentFor, WireClient
from dp_backends.http._retry import AttemptFailed, Attempts, RetryBudget
from dp_backends.http._route import Turn
from dp_backends.http._waits._event_source import EventSource, NotAStreamError
from dp_backends.http._waits._interest import Caller, Callers, Interest, NoStreamError
from dp_backends.http._waits._stream import CallersById, Stream
from dp_core import (
    AccessDeniedError,
    BackendClosedError,
    BackendError,
    DurablePromiseError,
    NotSupportedError,
    Pending,
    ProtocolError,
    State,
)
from dp_core.backend import Closable, Follower, LeaderFollowers, Waiters
from dp_core.wire import MAX_WATCHED, Comment, Peek, WatchCall

__all__ = ["MAX_ASKED_BYTES", "StreamGate"]

MAX_ASKED_BYTES: Final = 512 * 1024
"""The longest body; proxies refuse one of a megabyte."""

_LATE_SECONDS: Final = 3.0
"""The time after which a stream that has not begun is taken for held back."""

_LATE_SECONDS_EACH: Final = 0.001
"""The time to add for each promise: a store on a busy machine looks at each."""

_TOO_LARGE: Final = 413
_MERGED: Final = 4
"""The most promises, for each of its own, of a stream that a new one takes along."""


@dataclass(slots=True, eq=False)
class _Opening:
    """
    A request that was sent, whose stream has not begun.

    Attributes:
        callers: The callers at the gate for whom it was sent.
        merged: The streams whose promises it asks for, too.
    """

    source: EventSource
    callers: list[Caller]
    by_id: CallersById
    merged: list[Stream]
    late_at: float


class StreamGate:
    """
    The gate, and the streams, of one handle in one event loop.

    Args:
        client: The client that asks for them.
        life: The life of the handle; its end ends them.
    """

    def __init__(self, client: WireClient, life: Closable) -> None:
        self.gate: Callers = LeaderFollowers(self._lead)
        self._client = client
        self._life = life
        # Of the leader at the gate.
        self._scope = anyio.CancelScope()
        self._streams: dict[Callers, Stream] = {}
        self._opening: _Opening | None = None
        self._attempts = Attempts()
        self._has_streamed = False

    async def wait(self, interest: Interest) -> Any:
        """
        Wait for promises on a stream.

        Raises:
            NoStreamError: There is none; each promise is to be asked for alone.
            DurablePromiseError: A promise was disposed of, the server cannot be asked,
                or the handle was closed.
        """
        life = self._life
        life.check_open()
        if not self._client.peer.streams:
            raise NoStreamError
        if not self._streams and not len(self.gate):
            life.add(self._end)
        caller: Caller = Follower(self.gate, interest)
        try:
            return await caller.join()
        except BackendError as error:
            # A cut connection, for one, may be noticed before the end of the handle is.
            if life.is_closed and not isinstance(error, BackendClosedError):
                raise life.closed() from error
            raise
        finally:
            self._leave(caller.group)

    def _end(self) -> None:
        """End all waits, as the handle is closed; called in the event loop."""
        streams = tuple(self._streams.values())
        for group in (self.gate, *self._streams):
            for caller in group:
                caller.set_exception(self._life.closed())
        for stream in streams:
            stream.stop()
        # Somebody leads, perhaps in a question that nobody answers.
        self._scope.cancel()

    def stats(self) -> tuple[int, int, int]:
        """Return how many callers are here, how many of them on how many streams."""
        watched = sum(map(len, self._streams))
        return watched + len(self.gate), watched, len(self._streams)

    def _leave(self, group: Callers) -> None:
        if len(group):
            return
        if group is self.gate:
            self._drop_opening()
        elif (stream := self._streams.pop(group, None)) is not None:
            stream.close()
        if not self._streams and not len(self.gate):
            self._life.discard(self._end)

    def _drop_opening(self) -> None:
        opening, self._opening = self._opening, None
        if opening is not None:
            opening.source.close()

    # The gate ------------------------------------------------------------------

    async def _lead(self, leader: Caller) -> None:
        with anyio.CancelScope() as self._scope:
            await self._work(leader)

    async def _work(self, leader: Caller) -> None:
        try:
            if self._opening is None:
                # Callers that come in the same step of the event loop come along.
                await checkpoint()
                await self._reach(leader)
                if leader.is_done:
                    return
                self._opening = await self._ask()
            await self._hear(self._opening)
        except AttemptFailed as failure:
            self._drop_opening()
            self._failed(failure)
        except (AccessDeniedError, ProtocolError) as error:
            for caller in self.gate:
                caller.set_exception(error)

    def _failed(self, failure: AttemptFailed) -> None:
        self._client.note(failure, self._attempts)

    async def _reach(self, leader: Caller) -> None:
        """
        Return when it makes sense to ask.

        Raises:
            AttemptFailed: Another attempt may succeed.
            DurablePromiseError: There is no time to ask again, or no sense in it.
        """
        client, budget = self._client, leader.request.budget
        endless = client.peer.answered
        if client.outage.away:
            turn = Turn(
                client.outage,
                partial(self._look, leader),
                self._failed,
                budget,
                self._attempts,
                endless=endless,
            )
            await turn.stand_in_line()
            if turn.answered:
                turn.answer()
        elif self._attempts.count:
            await budget.pause(self._attempts, endless=endless)
        # A server not heard of yet is asked what it can answer at once, so that a
        # wrong port does not look like promises that are pending.
        if not client.peer.answered:
            await self._look(leader)

    async def _look(self, leader: Caller) -> None:
        client, budget = self._client, leader.request.budget
        if client.peer.answered:
            budget = RetryBudget(max(client.url.retry, RETRY_SECONDS))
        id = next(iter(leader.request.ids))
        state: State[bytes] = await client.attempt(Peek(id), budget)
        if not isinstance(state, Pending):
            leader.request.tell(leader, id, state)

    async def _ask(self) -> _Opening:
        callers: list[Caller] = []
        by_id: CallersById = Waiters()
        size = 0
        for caller in self.gate:
            new = [id for id in caller.request.ids if id not in by_id]
            length = _length(new)
            if callers and not _fit(len(by_id) + len(new), size + length):
                break
            size += length
            callers.append(caller)
            for id in caller.request.ids:
                by_id.add(id, caller)
        merged: list[Stream] = []
        for stream in sorted(self._streams.values(), key=len):
            also = stream.untold()
            length = _length(also)
            if len(also) > _MERGED * len(by_id) or not _fit(
                len(by_id) + len(also), size + length
            ):
                break
            size += length
            merged.append(stream)
            for id in also:
                for caller in also.of(id):
                    by_id.add(id, caller)
        call = WatchCall(tuple(by_id))
        # Of those whose streams it takes along, the first requests told.
        connection = await self._client.send(
            call, sent_for=SentFor(tuple(caller.operation for caller in callers))
        )
        source = EventSource(self._client, call, connection)
        late = _LATE_SECONDS + _LATE_SECONDS_EACH * len(by_id)
        return _Opening(source, callers, by_id, merged, anyio.current_time() + late)

    async def _hear(self, opening: _Opening) -> None:
        """
        Read until the stream has begun; then its callers move there.

        Raises:
            AttemptFailed: Another attempt may succeed.
            DurablePromiseError: None will.
        """
        has_begun = False
        with anyio.CancelScope(deadline=opening.late_at) as scope:
            while not has_begun:
                try:
                    events = await opening.source.receive()
                except NotAStreamError as refused:
                    await self._refused(opening, refused)
                    return
                for event in events:
                    has_begun = has_begun or isinstance(event, Comment)
                # Told once it has a stream, which also knows what is to be asked for.
                opening.source.early.extend(events)
                has_begun = has_begun or opening.source.is_over
        if not has_begun and scope.cancelled_caught:
            await self._late(opening)
            return
        self._opening = None
        self._begin(opening)

    def _begin(self, opening: _Opening) -> None:
        self._has_streamed = True
        self._attempts.clear()
        stream = Stream(self._client, opening.source, opening.by_id, self.gate)
        for merged in opening.merged:
            if self._streams.pop(merged.callers, None) is not None:
                merged.callers.move_to(stream.callers)
                merged.stop()
        for caller in opening.callers:
            caller.request.note_watched()
            if caller.group is self.gate:
                caller.move_to(stream.callers)
        if len(stream.callers):
            self._streams[stream.callers] = stream
        else:
            stream.close()

    async def _refused(self, opening: _Opening, refused: NotAStreamError) -> None:
        client, response = self._client, refused.response
        self._drop_opening()
        if await client.has_new_token(opening.source.connection, response):
            return
        if response.status == _TOO_LARGE:
            # Something on the way takes no such request.
            self._do_without()
            return
        try:
            await client.read(opening.source.call, response)
        except NotSupportedError:
            self._do_without()
        except DurablePromiseError:
            # Some of them may be good, and each is told of its own.
            _send_away(opening.callers)

    async def _late(self, opening: _Opening) -> None:
        """Ask something else: a server that answers that is not away."""
        self._client.note_silence(opening.source.connection, _LATE_SECONDS)
        self._drop_opening()
        id = opening.source.call.ids[0]
        await self._client.attempt(Peek(id), RetryBudget(_LATE_SECONDS))
        if self._has_streamed:
            _send_away(opening.callers)
        else:
            self._do_without()

    def _do_without(self) -> None:
        self._client.peer = replace(self._client.peer, streams=False)
        _send_away(self.gate)


def _send_away(callers: Any) -> None:
    for caller in callers:
        caller.set_exception(NoStreamError())


def _length(ids: Any) -> int:
    return sum(len(id.encode()) + 3 for id in ids)


def _fit(number: int, length: int) -> bool:
    return number <= MAX_WATCHED and length <= MAX_ASKED_BYTES
