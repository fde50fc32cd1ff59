"""Concurrent histories: many clients at once, checked afterwards."""

from __future__ import annotations

from random import Random
from typing import Any, Final

import anyio

from dp_core._errors import OutcomeUnknownError
from dp_core._states import Outcome, Rejected, Resolved
from dp_core.testing._calls import Call
from dp_core.testing._contract import CONCURRENT, NO_LOST_WAKE_UP
from dp_core.testing._lab import Handle, Lab
from dp_core.testing._law import law
from dp_core.testing.linearizability import refute

__all__ = ["History", "histories_are_linearizable", "no_waiter_is_left_behind"]

_OPERATIONS: Final = 50
_CLIENTS: Final = (6, 7, 8)
_PROMISES: Final = (1, 1, 2, 3)
_DISPOSALS: Final = 6

_KINDS: Final = {"settle": 9, "peek": 9, "wait": 6, "dispose": 2}
_CANCELLED: Final = 0.15
_DAWDLING: Final = 0.5


@law(CONCURRENT)
async def histories_are_linearizable(lab: Lab) -> None:
    """Whatever many clients do at once, some order explains what they are told."""
    handles = await lab.pair()
    for number in range(lab.run.effort.histories):
        history = History(lab, handles, number, abandoned=_CANCELLED)
        await history.record()
        await history.check()
        lab.run.checked += 1


@law(NO_LOST_WAKE_UP)
async def no_waiter_is_left_behind(lab: Lab) -> None:
    """Whatever many clients do at once, all waiters are told in the end."""
    handles = await lab.pair()
    for number in range(lab.run.effort.histories // 2):
        history = History(lab, handles, number, abandoned=0)
        await history.record()
        await history.all_told()


class History:
    """
    What some clients do to a few promises, all of it decided by a seed.

    Each client makes one call after another; a wait goes on beside the
    client's next calls, until it is told, or cancelled by its client. There
    are no clocks in it: where the backend has none, the same seed does the
    same.

    Args:
        lab: Where to do it.
        handles: Through which handles.
        number: Which history of the run's seed.
        abandoned: How likely a client cancels a wait at each of its next calls.
    """

    def __init__(
        self,
        lab: Lab,
        handles: tuple[Handle, Handle],
        number: int,
        *,
        abandoned: float,
    ) -> None:
        self._lab = lab
        self._abandoned = abandoned
        self._handles = handles
        self._random = Random(f"{lab.run.seed} history {number}")  # noqa: S311 - repeatable
        self._ids = [lab.id() for _ in range(self._random.choice(_PROMISES))]
        self._offers = 0
        self._disposals = _DISPOSALS
        self._waiting: list[Call] = []

    async def record(self) -> None:
        """Let the clients do their work."""
        clients = self._random.choice(_CLIENTS)
        async with anyio.create_task_group() as group:
            for n in range(clients):
                group.start_soon(self._client, len(range(n, _OPERATIONS, clients)))

    async def check(self) -> None:
        """
        Judge what the clients were told.

        Raises:
            LawBrokenError: There is no order that explains it.
        """
        calls = self._lab.record.calls_on(*self._ids)
        for call in calls:
            if call.operation == "wait" and not call.is_over:
                call.cancel()
        for call in calls:
            over = await call.over_within(self._lab.record.patience)
            if not over or (call.failed and not _may_fail(call)):
                await call.ends()
        for id in self._ids:
            broken = refute(self._lab.record.calls_on(id))
            if broken:
                raise broken

    async def all_told(self) -> None:
        """
        Settle every promise, and see that this ends all waits.

        Raises:
            LawBrokenError: Somebody still waits.
        """
        for id in self._ids:
            await self._handles[0].settle(id, self._offer()).ends()
        for call in self._waiting:
            if not await call.over_within(self._lab.record.patience):
                await call.ends()

    async def _client(self, number: int) -> None:
        waiting: list[Call] = []
        for _ in range(number):
            await self._lab.turns(self._random.choice((0, 0, 1, 2, 5)))
            for call in waiting:
                if self._random.random() < self._abandoned:
                    call.cancel()
            call = self._make()
            if call.operation == "wait":
                waiting.append(call)
            elif not await call.over_within(self._lab.record.patience):
                return
        self._waiting += waiting

    def _make(self) -> Call:
        kind = self._random.choices([*_KINDS], [*_KINDS.values()])[0]
        handle = self._random.choice(self._handles)
        id = self._random.choice(self._ids)
        plan = self._plan(kind)
        if kind == "settle":
            return handle.settle(id, self._offer(), **plan)
        if kind == "dispose" and self._disposals:
            self._disposals -= 1
            return handle.dispose(id, **plan)
        return handle.wait(id, **plan) if kind == "wait" else handle.peek(id, **plan)

    def _offer(self) -> Outcome[bytes]:
        self._offers += 1
        if self._random.random() < 1 / 3:
            return Rejected(f"no {self._offers}")
        return Resolved(b"%d" % self._offers)

    def _plan(self, kind: str) -> dict[str, Any]:
        """Choose where the call loses time, and whether it is cancelled."""
        plan: dict[str, Any] = {}
        if self._random.random() < _DAWDLING:
            plan["dawdle"] = {self._random.randint(1, 4): self._random.randint(1, 8)}
        if kind != "wait" and self._random.random() < _CANCELLED:
            plan["cancel_at"] = self._random.randint(1, 3)
        return plan


def _may_fail(call: Call) -> bool:
    return call.was_cancelled or isinstance(call.answer, OutcomeUnknownError)
