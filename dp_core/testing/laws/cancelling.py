"""Cancelling an operation leaves a whole state and harms nobody else."""

from __future__ import annotations

from itertools import product

import anyio

from dp_core.testing._calls import CANCELLED, DISPOSED, PENDING, RUNNING, Call
from dp_core.testing._contract import CANCEL, CANCELLABLE, NO_LOST_WAKE_UP, STANDS
from dp_core.testing._lab import Handle, Lab
from dp_core.testing._law import law
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
async def cancellation_is_passed_on(lab: Lab) -> None:
    """Who is cancelled ends as cancelled, and makes up no answer and no error."""
    a = await lab.open()
    for start in (a.peek, a.dispose, lambda id, **plan: a.settle(id, ONE, **plan)):
        for step in lab.steps():
            call = start(lab.id(), cancel_at=step)
            await call.ends()
            if not call.reached:
                break
    for step in lab.steps():
        id = lab.id()
        waiting = a.wait(id, cancel_at=step)
        await lab.rest(waiting)
        waiting.cancel()
        await waiting.tells(CANCELLED)
        if not waiting.reached:
            break


@law(NO_LOST_WAKE_UP)
async def cancelled_waiters_leave_the_others(lab: Lab) -> None:
    """Whichever waiters are cancelled, in whatever order, the others are told."""
    a, b = await lab.pair()
    left: list[Call] = []
    for turns in (None, 1, 2, 3):
        for some in ([0], [1], [3], [0, 1], [2, 1, 0], [0, 3], [1, 2, 3]):
            id = lab.id()
            waiting = await _line_up(lab, id, a, a, b, a)
            settling = None if turns is None else a.settle(id, ONE)
            await lab.turns(turns or 0)
            for n in some:
                waiting[n].cancel()
                if settling is None:
                    await lab.all_over([waiting[n]], lab.record.patience)
            await (settling or a.settle(id, ONE)).tells(ONE)
            left += [waiting[n] for n in range(4) if n not in some]
            left.append(a.wait(id))
    for turns in range(5):
        id = lab.id()
        gone = await _line_up(lab, id, a, b, a)
        for call in gone:
            call.cancel()
        await lab.turns(turns)
        newcomer = a.wait(id)
        await lab.rest(newcomer)
        await b.settle(id, ONE).tells(ONE)
        left.append(newcomer)
    # At the end: where waiters look now and then, they look together.
    for call in left:
        await call.tells(ONE)


async def _line_up(lab: Lab, id: str, *handles: Handle) -> list[Call]:
    """Wait through each of *handles*; who is named first is first in line."""
    line: list[Call] = []
    for handle in handles:
        line.append(handle.wait(id))
        # Who starts them at once leaves their order to the loop: trio draws lots.
        await lab.rest(line[-1])
    return line


@law(CANCEL)
async def cancelled_readers_leave_no_trace(lab: Lab) -> None:
    """A cancelled peek or wait changes nothing and uses nothing up."""
    a = await lab.open()
    for read, of_pending in product((a.peek, a.wait), (True, False)):
        for step in lab.steps():
            pending, settled = lab.id(), lab.id()
            await a.settle(settled, ONE).tells(ONE)
            id = pending if of_pending else settled
            gone = [read(id, cancel_at=step) for _ in range(_READERS)]
            await lab.rest(*gone)
            for call in gone:
                call.cancel()
            await lab.all_over(gone, lab.record.patience)
            # The other one first: what was left over would be told for it.
            if of_pending:
                await a.peek(settled).tells(ONE, besides=[pending])
            waiting = a.wait(pending)
            await a.peek(pending).tells(PENDING, besides=[settled])
            await a.settle(pending, TWO).tells(TWO)
            await waiting.tells(TWO)
            await a.peek(pending).tells(TWO)
            if not any(call.reached for call in gone):
                break


@law(CANCELLABLE)
async def cancelled_waits_leave_nothing_running(lab: Lab) -> None:
    """No task goes on for each wait that was cancelled."""
    a = await lab.open()
    id, number = lab.id(), lab.run.effort.crowd // 4
    before = _foreign_tasks()
    waiting = [a.wait(id) for _ in range(number)]
    await lab.rest(*waiting)
    for call in waiting:
        call.cancel()
    await lab.all_over(waiting, lab.record.patience)
    # Half of them is far from what one handle, or a server beside it, may need.
    if not await lab.until(lambda: _foreign_tasks() < before + number // 2):
        left = _foreign_tasks() - before
        raise lab.broken(
            f"{number} waits were cancelled; {left} tasks they started run on"
        )


def _foreign_tasks() -> int:
    """Return how many tasks run that are not the kit's own."""
    names = [task.name or "" for task in anyio.get_running_tasks()]
    return sum(not name.startswith("dp_core.testing.") for name in names)


@law(CANCEL)
async def cancelled_settlers_leave_a_whole_state(lab: Lab) -> None:
    """A cancelled settle has settled or has not, and all agree on which."""
    a, b = await lab.pair()
    for first in (ONE, NO):
        for step in lab.steps():
            id = lab.id()
            waiting = b.wait(id)
            await lab.rest(waiting)
            early = a.settle(id, first, cancel_at=step)
            await lab.all_over([early], lab.record.patience)
            won = await b.settle(id, TWO).tells(TWO, first)
            await waiting.tells(won)
            await a.settle(id, LATE).tells(won)
            await a.peek(id).tells(won)
            await b.wait(id).tells(won)
            if lab.run.durable:
                await lab.close()
                a, b = await lab.pair()
                await a.peek(id).tells(won)
            if not early.reached:
                break


@law(CANCEL)
async def cancelled_disposals_leave_a_whole_state(lab: Lab) -> None:
    """A cancelled disposal has forgotten or has not, and all agree on which."""
    a, b = await lab.pair()
    for step in lab.steps():
        id = lab.id()
        await a.settle(id, ONE).tells(ONE)
        disposing = a.dispose(id, cancel_at=step)
        await lab.all_over([disposing], lab.record.patience)
        # Unknown outcome: it may also take effect later, as one that was sent
        # over a network does.
        for call in (a.peek(id), b.peek(id), a.peek(id)):
            await call.ends()
        waiting = b.wait(id)
        await lab.rest(waiting)
        await a.settle(id, TWO).ends()
        await waiting.ends()
        await a.peek(id).ends()
        broken = refute(lab.record.calls_on(id))
        if broken:
            raise broken
        if not disposing.reached:
            break
    for step in lab.steps():
        id = lab.id()
        waiting = b.wait(id)
        await lab.rest(waiting)
        disposing = a.dispose(id, cancel_at=step)
        await lab.all_over([disposing], lab.record.patience)
        # Who was not told of the disposal is told what comes after it.
        await a.settle(id, TWO).tells(TWO)
        await waiting.tells(DISPOSED, TWO)
        if not disposing.reached:
            break


@law(STANDS)
async def what_was_seen_stands(lab: Lab) -> None:
    """What anybody was shown stands, whatever becomes of its completer."""
    a, b = await lab.pair()
    for step in lab.steps():
        id = lab.id()
        early = a.settle(id, ONE, hold_at=step)
        await lab.rest(early)
        looking = b.peek(id)
        await lab.rest(looking)
        seen = looking.answer
        early.cancel()
        await lab.all_over([early, looking], lab.record.patience)
        if seen not in (PENDING, RUNNING):
            await b.peek(id).tells(seen)
        was_held = early.is_held
        if seen not in (PENDING, RUNNING):
            await b.settle(id, TWO).tells(seen)
            await a.wait(id).tells(seen)
            if lab.run.durable:
                a = b = await lab.reopen()
                await a.peek(id).tells(seen)
        if not was_held:
            break
