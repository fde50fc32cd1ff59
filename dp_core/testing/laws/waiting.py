"""Laws about waiting: a waiter gets the outcome, whoever comes first."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, TypeAlias

import anyio

from dp_core._states import Outcome, Resolved
from dp_core.testing.kit import (
    CONCURRENT,
    NO_LOST_WAKE_UP,
    PASSING,
    PEEK,
    PENDING,
    BackendCall,
    LawContext,
    StoreHandle,
    law,
    no_files_left,
    shown,
)
from dp_core.testing.laws.ids import ALIKE
from dp_core.testing.laws.settling import LATE, NO, ONE, TWO, settle_others
from dp_core.testing.linearizability import refute

__all__ = [
    "late_waiters_are_told",
    "no_wake_up_is_lost",
    "peek_never_blocks",
    "waiters_are_woken",
    "waiters_hear_only_of_their_own",
    "waits_outlive_an_outage",
    "waits_outlive_too_many_open_files",
]

_OUTCOMES: Final[tuple[Outcome[bytes], ...]] = (ONE, NO)


@law(NO_LOST_WAKE_UP)
async def late_waiters_are_told(context: LawContext) -> None:
    """
    A wait after the settle returns the outcome, however late and however often.

    Other promises are settled in between, so that a bounded log of recent outcomes
    is not enough.
    """
    a = await context.open()
    early = {context.id(): outcome for outcome in _OUTCOMES}
    for id, outcome in early.items():
        await a.settle(id, outcome).gives(outcome)
        await a.wait(id).gives(outcome)
        for waiting in [a.wait(id) for _ in range(3)]:
            await waiting.gives(outcome)
    await settle_others(context, a, context.run.effort.volume // 10)
    for id, outcome in early.items():
        await a.wait(id).gives(outcome)


@law(NO_LOST_WAKE_UP)
async def waiters_are_woken(context: LawContext) -> None:
    """
    All waiters, one or many, get the outcome when the promise is settled.

    There are one, three and `Effort.crowd` waiters, for a value and for a
    rejection.
    """
    a = await context.open()
    for crowd in (1, 3, context.run.effort.crowd):
        for outcome in _OUTCOMES:
            id = context.id()
            waiting = [a.wait(id) for _ in range(crowd)]
            await context.rest(*waiting)
            await a.settle(id, outcome).gives(outcome)
            for call in waiting:
                await call.gives(outcome)


@law(NO_LOST_WAKE_UP)
async def no_wake_up_is_lost(context: LawContext) -> None:
    """
    A waiter gets the outcome, wherever its wait and the settle meet.

    A wait, a settle or a disposal is held at its k-th checkpoint, for every k,
    while other calls come and go. Then the results must be linearizable.
    """
    a, b = await context.pair()
    for other in dict.fromkeys((a, b)):
        for meeting in _MEETINGS:
            for step in context.steps():
                if not await _meet(context, a, other, meeting, step):
                    break


_Meeting: TypeAlias = tuple[tuple[str, ...], str, tuple[str, ...]]


async def _meet(
    context: LawContext, a: StoreHandle, b: StoreHandle, meeting: _Meeting, step: int
) -> bool:
    """
    Hold one operation at checkpoint *step* while others come and go.

    Returns:
        Whether it had so many checkpoints.
    """
    before, held, meanwhile = meeting
    id = context.id()
    for operation in before:
        await _start(a, operation, id, LATE).ends()
    calls = [_start(a, held, id, ONE, hold_at=step)]
    await context.rest(calls[0])
    was_held = calls[0].is_held
    for operation in meanwhile:
        calls.append(_start(b, operation, id, TWO))
        await context.rest(calls[-1])
    if meanwhile == ("settle",) and was_held and calls[-1].is_over:
        # Settle 40 other promises, so that a bounded cache of recent outcomes
        # cannot hide a lost wake-up. Settling cannot block here on a lock of the
        # held call: one settle has begun and succeeded since.
        await settle_others(context, b, 40)
    calls[0].release()
    await context.rest(calls[0])
    for call in calls:
        if call.operation != "wait":
            # Of overlapping calls, the one that began first may take effect last.
            await call.ends()
    if await b.peek(id).ends() == PENDING:
        await b.settle(id, NO).ends()
    for call in calls:
        await call.ends()
    if broken := refute(context.log.calls_on(id)):
        raise broken
    return calls[0].is_held


_MEETINGS: Final[tuple[_Meeting, ...]] = (
    ((), "wait", ("settle",)),
    ((), "wait", ("dispose",)),
    ((), "wait", ("settle", "dispose")),
    ((), "wait", ("dispose", "settle")),
    ((), "wait", ("dispose", "wait")),
    (("settle",), "wait", ("dispose",)),
    ((), "settle", ("wait",)),
    ((), "settle", ("dispose", "wait")),
    (("settle",), "dispose", ("wait",)),
)
"""Calls made before, the call that is held, and the calls made meanwhile."""


def _start(
    handle: StoreHandle, operation: str, id: str, given: Outcome[bytes], **plan: int
) -> BackendCall:
    if operation == "settle":
        return handle.settle(id, given, **plan)
    start: Callable[..., BackendCall] = getattr(handle, operation)
    return start(id, **plan)


@law(CONCURRENT)
async def waiters_hear_only_of_their_own(context: LawContext) -> None:
    """
    Each of many waiters gets the outcome of its own promise only.

    Many promises are settled in random order, then promises whose ids careless
    stores take for the same.
    """
    a, b = await context.pair()
    ids = [context.id() for _ in range(context.run.effort.crowd // 2)]
    outcomes = {id: Resolved(b"%d" % n) for n, id in enumerate(ids)}
    waiting = {id: a.wait(id) for id in ids}
    await context.rest(*waiting.values())
    context.random.shuffle(ids)
    for id in ids:
        if waiting[id].is_over:
            result = shown(await waiting[id].ends())
            raise context.broken(f"{waiting[id]} gave {result} too early", id)
        await b.settle(id, outcomes[id]).gives(outcomes[id])
    for id in ids:
        await waiting[id].gives(outcomes[id])
        await b.peek(id).gives(outcomes[id])
    bases = [context.id("/") for _ in ALIKE]
    alike = [(id + one, id + two) for id, (one, two) in zip(bases, ALIKE, strict=True)]
    waiting = {id: a.wait(id) for _, id in alike}
    await context.rest(*waiting.values())
    left: dict[str, BackendCall] = {}
    for id, other in alike:
        await b.settle(id, ONE).ends()
        if await b.peek(other).ends() != PENDING:
            # The store takes both ids for one; the laws about ids report that.
            continue
        await b.settle(other, TWO).gives(TWO, besides=[id])
        left[id] = waiting[other]
    for id, call in left.items():
        await call.gives(TWO, besides=[id])


@law(PASSING, "own_process")
async def waits_outlive_too_many_open_files(context: LawContext) -> None:
    """
    A wait goes on while no more files can be opened, and then gets the outcome.

    For a moment, this process may open no file and no socket, and a settle is tried
    meanwhile. One wait began before that, another one begins then. Threads of others
    would be in want as well, so the process must be there for the laws alone.
    """
    a, b = await context.pair()
    early, late = context.id(), context.id()
    # What a handle keeps open from its first use on, it has afterwards.
    for handle in (a, b):
        await handle.settle(context.id(), ONE).gives(ONE)
    waiting = [handle.wait(early) for handle in (a, b)]
    await context.rest(*waiting)
    with no_files_left():
        waiting.append(a.wait(late))
        # Whether it fails is its own matter.
        tried = b.settle(early, ONE)
        await context.all_over([tried], _SHORTAGE)
        await anyio.sleep(_SHORTAGE)
    await context.all_over([tried], context.log.patience)
    await _check_that_they_wait(b, waiting, early, late)


@law(PASSING, "outage")
async def waits_outlive_an_outage(context: LawContext) -> None:
    """
    A wait goes on while the store fails, and gets the outcome after that.

    The store fails for a moment. One wait began before that, another one begins then.
    """
    assert context.run.outage is not None  # noqa: S101 - for the type checker
    a, b = await context.pair()
    early, late = context.id(), context.id()
    for handle in (a, b):
        await handle.settle(context.id(), ONE).gives(ONE)
    waiting = [handle.wait(early) for handle in (a, b)]
    await context.rest(*waiting)
    async with context.run.outage():
        waiting.append(a.wait(late))
        await anyio.sleep(_SHORTAGE)
    await _check_that_they_wait(b, waiting, early, late)


async def _check_that_they_wait(
    settler: StoreHandle, waiting: list[BackendCall], *ids: str
) -> None:
    """Settle the promises that are pending; no wait may have failed."""
    for id in ids:
        if await settler.peek(id).ends() == PENDING:
            await settler.settle(id, ONE).gives(ONE)
    for call in waiting:
        await call.gives(ONE)


_SHORTAGE: Final = 0.3


@law(PEEK)
async def peek_never_blocks(context: LawContext) -> None:
    """
    A peek at a pending promise returns at once, however many wait for it.

    It must not take much longer than a peek at a settled promise, and must return
    while half of `Effort.crowd` waits are under way.
    """
    a, b = await context.pair()
    await _check_that_peeks_do_not_pause(context, a)
    id, other = context.id(), context.id()
    waiting = [handle.wait(id) for handle in (a, b) * (context.run.effort.crowd // 4)]
    await context.rest(*waiting)
    for handle in (a, b):
        await handle.peek(id).gives(PENDING)
        await handle.peek(other).gives(PENDING)
    await a.settle(id, ONE).gives(ONE)
    for call in waiting:
        await call.gives(ONE)


async def _check_that_peeks_do_not_pause(context: LawContext, a: StoreHandle) -> None:
    """Compare a peek at a pending promise with one at a settled one."""
    settled, pending = context.id(), context.id()
    await a.settle(settled, ONE).gives(ONE)
    known = unknown = math.inf
    for _ in range(_ATTEMPTS):
        # A busy machine hesitates now and then; a peek that waits, always.
        known = min(known, await _duration(a, settled))
        unknown = min(unknown, await _duration(a, pending))
    if unknown >= _PAUSE + 10 * known:
        raise context.broken(
            f"a.peek took {unknown:.1f} s, {known:.1f} s for a settled promise", pending
        )


async def _duration(handle: StoreHandle, id: str) -> float:
    started = anyio.current_time()
    await handle.peek(id).ends()
    return anyio.current_time() - started


_ATTEMPTS: Final = 5
_PAUSE: Final = 0.2
