"""Laws about concurrency: random histories of many clients, checked afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Any, Final

import anyio

from dp_core._errors import OutcomeUnknownError
from dp_core._states import Outcome, Rejected, Resolved
from dp_core._terms import Terms
from dp_core.testing.kit import (
    CONCURRENT,
    NO_LOST_WAKE_UP,
    BackendCall,
    LawBrokenError,
    LawContext,
    StoreHandle,
    law,
)
from dp_core.testing.linearizability import refute

__all__ = [
    "RandomHistory",
    "histories_are_linearizable",
    "histories_with_terms_are_linearizable",
    "no_waiter_is_left_behind",
]

_OPERATIONS: Final = 50
_CLIENTS: Final = (6, 7, 8)
_PROMISES: Final = (1, 1, 2, 3)

_KINDS: Final = {"settle": 9, "peek": 9, "wait": 6, "dispose": 2}
_KINDS_WITH_TERMS: Final = {
    "settle": 6,
    "peek": 6,
    "wait": 4,
    "dispose": 4,
    "create": 8,
    "info": 4,
}
_WITH_TERMS: Final = 10
"""Of so many histories, one has terms in it."""

# No clock is involved: a deadline is over, or far away.
_DEADLINES: Final = (
    datetime(2001, 2, 3, tzinfo=UTC),
    datetime(2999, 12, 31, tzinfo=UTC),
    None,
)
_CANCELLED: Final = 0.15
_DELAYED: Final = 0.5

_TOGETHER: Final = 20
"""
Histories whose waiters are awaited together.

Where a store polls, all of them then wait for one poll.
"""


@law(CONCURRENT)
async def histories_are_linearizable(context: LawContext) -> None:
    """
    Of any concurrent calls, some sequential order explains all results.

    Six to eight clients make 50 calls on one to three promises, with random delays
    and cancellations, `Effort.histories` times. Each history is checked by
    `dp_core.testing.linearizability`.
    """
    handles = await context.pair()
    for number in range(context.run.effort.histories):
        history = RandomHistory(context, handles, number, abandoned=_CANCELLED)
        await history.record()
        await history.check()
        context.run.checked += 1


@law(CONCURRENT, "terms")
async def histories_with_terms_are_linearizable(context: LawContext) -> None:
    """
    Of any concurrent calls, some sequential order explains all results and terms.

    The clients are those of `histories-are-linearizable`. They also create promises,
    with deadlines that are over or far away, and ask for all that is known; for a tenth
    of `Effort.histories`.
    """
    handles = await context.pair()
    for number in range(-(-context.run.effort.histories // _WITH_TERMS)):
        history = RandomHistory(
            context, handles, number, abandoned=_CANCELLED, kinds=_KINDS_WITH_TERMS
        )
        await history.record()
        await history.check()
        context.run.checked += 1


@law(NO_LOST_WAKE_UP)
async def no_waiter_is_left_behind(context: LawContext) -> None:
    """
    After any concurrent calls, no waiter is left once all promises are settled.

    The clients are those of `histories-are-linearizable`, without cancelled waits.
    """
    handles = await context.pair()
    over: list[RandomHistory] = []
    for number in range(context.run.effort.histories):
        history = RandomHistory(context, handles, number, abandoned=0)
        await history.record()
        await history.settle_all()
        over.append(history)
        if len(over) == _TOGETHER or number == context.run.effort.histories - 1:
            while over:
                await over.pop().check_that_all_end()


class RandomHistory:
    """
    Calls of some clients on a few promises, all of them decided by a seed.

    No clock is involved: the same seed makes the same calls, unless the backend
    uses a clock or the event loop draws lots, as trio does.

    Args:
        context: The law's context.
        handles: The handles that the clients use.
        number: The number of the history in the run.
        abandoned: The probability that a client cancels a wait at each of its
            next calls.
        kinds: How often clients make each kind of call, in proportion.
    """

    def __init__(
        self,
        context: LawContext,
        handles: tuple[StoreHandle, StoreHandle],
        number: int,
        *,
        abandoned: float,
        kinds: Mapping[str, int] = _KINDS,
    ) -> None:
        random = Random(f"{context.run.seed} {number}")  # noqa: S311 - repeatable
        self._context = context
        self._name = f"history {number} of seed {context.run.seed}"
        self._handles = handles
        self._ids = [context.id() for _ in range(random.choice(_PROMISES))]
        clients = random.choice(_CLIENTS)
        self._clients = [
            _HistoryClient(
                context,
                handles,
                self._ids,
                n,
                Random(f"{context.run.seed} {number} {n}"),  # noqa: S311 - repeatable
                calls=len(range(n, _OPERATIONS, clients)),
                abandoned=abandoned,
                kinds=kinds,
            )
            for n in range(clients)
        ]

    async def record(self) -> None:
        """Let the clients make all their calls."""
        async with anyio.create_task_group() as group:
            for client in self._clients:
                group.start_soon(client.work)

    async def check(self) -> None:
        """
        Judge the results of all calls.

        Raises:
            LawBrokenError: No sequential order explains them.
        """
        calls = self._context.log.calls_on(*self._ids)
        for call in calls:
            if call.operation == "wait" and not call.is_over:
                call.cancel()
        for call in calls:
            over = await call.over_within(self._context.log.patience)
            if not over or (call.failed and not _may_fail(call)):
                await call.ends()
        for id in self._ids:
            broken = refute(self._context.log.calls_on(id))
            if broken:
                reason = f"{broken.reason} ({self._name})"
                raise LawBrokenError(reason, broken.history)

    async def settle_all(self) -> None:
        """Settle every promise that is still pending."""
        for id in self._ids:
            await self._handles[0].settle(id, Resolved(b"-1")).ends()

    async def check_that_all_end(self) -> None:
        """
        Wait for the end of all calls.

        Raises:
            LawBrokenError: A call does not end.
        """
        for call in self._context.log.calls_on(*self._ids):
            if not await call.over_within(self._context.log.patience):
                await call.ends()


@dataclass
class _HistoryClient:
    """
    A client that makes one call after another.

    A wait goes on beside the next calls, until it ends or is cancelled.
    """

    context: LawContext
    handles: tuple[StoreHandle, StoreHandle]
    ids: list[str]
    number: int
    random: Random
    calls: int
    abandoned: float
    kinds: Mapping[str, int]
    may_dispose: bool = True

    async def work(self) -> None:
        waiting: list[BackendCall] = []
        for n in range(self.calls):
            await self.context.turns(self.random.choice((0, 0, 1, 2, 5)))
            for call in waiting:
                if self.random.random() < self.abandoned:
                    call.cancel()
            call = self._make(self.number * 100 + n)
            if call.operation == "wait":
                waiting.append(call)
            elif not await call.over_within(self.context.log.patience):
                return

    def _make(self, offer: int) -> BackendCall:
        kind = self.random.choices([*self.kinds], [*self.kinds.values()])[0]
        handle = self.random.choice(self.handles)
        id = self.random.choice(self.ids)
        schedule = self._schedule(kind)
        if kind == "settle":
            rejects = self.random.random() < 1 / 3
            given: Outcome[bytes] = (
                Rejected(f"no {offer}") if rejects else Resolved(b"%d" % offer)
            )
            return handle.settle(id, given, **schedule)
        if kind == "dispose" and self.may_dispose:
            self.may_dispose = False
            return handle.dispose(id, **schedule)
        if kind == "create":
            return handle.create(id, self._terms(offer), **schedule)
        reads = {"wait": handle.wait, "info": handle.info}
        return reads.get(kind, handle.peek)(id, **schedule)

    def _terms(self, offer: int) -> Terms[bytes]:
        """Choose terms; no others are equal."""
        deadline = self.random.choice(_DEADLINES)
        otherwise = Rejected(f"late {offer}") if deadline else None
        return Terms(deadline, otherwise, {"n": str(offer)})

    def _schedule(self, kind: str) -> dict[str, Any]:
        """Choose where the call is delayed, and whether it is cancelled."""
        schedule: dict[str, Any] = {}
        if self.random.random() < _DELAYED:
            schedule["delay_at"] = {
                self.random.randint(1, 4): self.random.randint(1, 8)
            }
        if kind != "wait" and self.random.random() < _CANCELLED:
            schedule["cancel_at"] = self.random.randint(1, 3)
        return schedule


def _may_fail(call: BackendCall) -> bool:
    return call.was_cancelled or isinstance(call.result, OutcomeUnknownError)
