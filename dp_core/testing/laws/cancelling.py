"""Laws about cancellation: it leaves a whole state and harms nobody else."""

from __future__ import annotations

from itertools import product

import anyio

from dp_core.testing.kit import (
    CANCEL,
    CANCELLABLE,
    CANCELLED,
    DISPOSED,
    NO_LOST_WAKE_UP,
    PENDING,
    RUNNING,
    STAYS,
    BackendCall,
    LawContext,
    StoreHandle,
    law,
)
from dp_core.testing.laws.settling import LATE, NO, ONE, TWO
from dp_core.testing.linearizability import refute

__all__ = [
    "cancellation_is_passed_on",
    "cancelled_disposals_leave_a_whole_state",
    "cancelled_readers_leave_no_trace",
    "cancelled_settlers_leave_a_whole_state",
    "cancelled_waiters_leave_the_others",
    "cancelled_waits_leave_nothing_running",
    "what_was_seen_stands",
]

_READERS = 32


@law(CANCELLABLE)
async def cancellation_is_passed_on(context: LawContext) -> None:
    """
    A cancelled call ends as cancelled, with no result or error of its own.

    Each operation is cancelled at its k-th checkpoint, for every k.
    """
    a = await context.open()
    for start in (a.peek, a.dispose, lambda id, **plan: a.settle(id, ONE, **plan)):
        for step in context.steps():
            call = start(context.id(), cancel_at=step)
            await call.ends()
            if not call.reached:
                break
    for step in context.steps():
        id = context.id()
        waiting = a.wait(id, cancel_at=step)
        await context.rest(waiting)
        waiting.cancel()
        await waiting.gives(CANCELLED)
        if not waiting.reached:
            break


@law(NO_LOST_WAKE_UP)
async def cancelled_waiters_leave_the_others(context: LawContext) -> None:
    """
    Waiters that are cancelled, in any order, leave the others to get the outcome.

    Of four waiters, some are cancelled before the promise is settled, or while it
    is.
    """
    a, b = await context.pair()
    left: list[BackendCall] = []
    for turns in (None, 1, 2, 3):
        for some in ([0], [1], [3], [0, 1], [2, 1, 0], [0, 3], [1, 2, 3]):
            id = context.id()
            waiting = await _line_up(context, id, a, a, b, a)
            settling = None if turns is None else a.settle(id, ONE)
            await context.turns(turns or 0)
            for n in some:
                waiting[n].cancel()
                if settling is None:
                    await context.all_over([waiting[n]], context.log.patience)
            await (settling or a.settle(id, ONE)).gives(ONE)
            left += [waiting[n] for n in range(4) if n not in some]
            left.append(a.wait(id))
    for turns in range(5):
        id = context.id()
        gone = await _line_up(context, id, a, b, a)
        for call in gone:
            call.cancel()
        await context.turns(turns)
        newcomer = a.wait(id)
        await context.rest(newcomer)
        await b.settle(id, ONE).gives(ONE)
        left.append(newcomer)
    # At the end, so that on a store that polls all wait for one poll.
    for call in left:
        await call.gives(ONE)


async def _line_up(
    context: LawContext, id: str, *handles: StoreHandle
) -> list[BackendCall]:
    """Wait through each of *handles*, in their order."""
    line: list[BackendCall] = []
    for handle in handles:
        line.append(handle.wait(id))
        # Started at the same time, their order would be the loop's: trio draws lots.
        await context.rest(line[-1])
    return line


@law(CANCEL)
async def cancelled_readers_leave_no_trace(context: LawContext) -> None:
    """
    A cancelled peek or wait changes nothing and uses nothing up.

    32 peeks or waits are cancelled at their k-th checkpoint, for every k. Then the
    handle must work as before.
    """
    a = await context.open()
    for read, of_pending in product((a.peek, a.wait), (True, False)):
        for step in context.steps():
            pending, settled = context.id(), context.id()
            await a.settle(settled, ONE).gives(ONE)
            id = pending if of_pending else settled
            gone = [read(id, cancel_at=step) for _ in range(_READERS)]
            await context.rest(*gone)
            for call in gone:
                call.cancel()
            await context.all_over(gone, context.log.patience)
            # The other promise first: a result that was left over would be returned.
            if of_pending:
                await a.peek(settled).gives(ONE, besides=[pending])
            waiting = a.wait(pending)
            await a.peek(pending).gives(PENDING, besides=[settled])
            await a.settle(pending, TWO).gives(TWO)
            await waiting.gives(TWO)
            await a.peek(pending).gives(TWO)
            if not any(call.reached for call in gone):
                break


@law(CANCELLABLE)
async def cancelled_waits_leave_nothing_running(context: LawContext) -> None:
    """
    A cancelled wait leaves no task running.

    The tasks of the event loop are counted before and after `Effort.crowd` / 4
    waits.
    """
    a = await context.open()
    id, number = context.id(), context.run.effort.crowd // 4
    before = _foreign_tasks()
    waiting = [a.wait(id) for _ in range(number)]
    await context.rest(*waiting)
    for call in waiting:
        call.cancel()
    await context.all_over(waiting, context.log.patience)
    # Half of them is far more than a handle, or a server beside it, may need.
    if not await context.until(lambda: _foreign_tasks() < before + number // 2):
        left = _foreign_tasks() - before
        raise context.broken(
            f"{number} waits were cancelled; {left} tasks that they started still run"
        )


def _foreign_tasks() -> int:
    """Return how many tasks run that are not the kit's own."""
    names = [task.name or "" for task in anyio.get_running_tasks()]
    return sum(not name.startswith("dp_core.testing.") for name in names)


@law(CANCEL)
async def cancelled_settlers_leave_a_whole_state(context: LawContext) -> None:
    """
    A cancelled settle has taken effect or has not, and all agree on which.

    A settle is cancelled at its k-th checkpoint, for every k. A waiter, later
    settles and, on a durable store, new handles must agree on the outcome.
    """
    a, b = await context.pair()
    for first in (ONE, NO):
        for step in context.steps():
            id = context.id()
            waiting = b.wait(id)
            await context.rest(waiting)
            early = a.settle(id, first, cancel_at=step)
            await context.all_over([early], context.log.patience)
            won = await b.settle(id, TWO).gives(TWO, first)
            await waiting.gives(won)
            await a.settle(id, LATE).gives(won)
            await a.peek(id).gives(won)
            await b.wait(id).gives(won)
            if context.run.durable:
                await context.close()
                a, b = await context.pair()
                await a.peek(id).gives(won)
            if not early.reached:
                break


@law(CANCEL)
async def cancelled_disposals_leave_a_whole_state(context: LawContext) -> None:
    """
    A cancelled disposal has taken effect or has not, and all agree on which.

    A disposal is cancelled at its k-th checkpoint, for every k. Then the results of
    later calls must be linearizable.
    """
    a, b = await context.pair()
    for step in context.steps():
        id = context.id()
        await a.settle(id, ONE).gives(ONE)
        disposing = a.dispose(id, cancel_at=step)
        await context.all_over([disposing], context.log.patience)
        # The effect is unknown: it may also come later, as that of a request that
        # was sent over a network.
        for call in (a.peek(id), b.peek(id), a.peek(id)):
            await call.ends()
        waiting = b.wait(id)
        await context.rest(waiting)
        await a.settle(id, TWO).ends()
        await waiting.ends()
        await a.peek(id).ends()
        broken = refute(context.log.calls_on(id))
        if broken:
            raise broken
        if not disposing.reached:
            break
    for step in context.steps():
        id = context.id()
        waiting = b.wait(id)
        await context.rest(waiting)
        disposing = a.dispose(id, cancel_at=step)
        await context.all_over([disposing], context.log.patience)
        # A waiter that missed the disposal gets the outcome after it.
        await a.settle(id, TWO).gives(TWO)
        await waiting.gives(DISPOSED, TWO)
        if not disposing.reached:
            break


@law(STAYS)
async def what_was_seen_stands(context: LawContext) -> None:
    """
    An outcome that was returned stays, even if its settle is cancelled.

    A settle is held at its k-th checkpoint, for every k, while another handle
    peeks; then it is cancelled.
    """
    a, b = await context.pair()
    for step in context.steps():
        id = context.id()
        early = a.settle(id, ONE, hold_at=step)
        await context.rest(early)
        looking = b.peek(id)
        await context.rest(looking)
        seen = looking.result
        early.cancel()
        await context.all_over([early, looking], context.log.patience)
        if seen not in (PENDING, RUNNING):
            await b.peek(id).gives(seen)
        was_held = early.is_held
        if seen not in (PENDING, RUNNING):
            await b.settle(id, TWO).gives(seen)
            await a.wait(id).gives(seen)
            if context.run.durable:
                a = b = await context.reopen()
                await a.peek(id).gives(seen)
        if not was_held:
            break
