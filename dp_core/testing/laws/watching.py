"""Laws about watching: many promises are waited for as one, and each is told once."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import anyio

from dp_core._errors import BackendClosedError
from dp_core._states import Outcome, Rejected, Resolved
from dp_core._terms import Terms
from dp_core.backend import now
from dp_core.testing.kit import (
    DISPOSED,
    PENDING,
    TOLD,
    WATCH_CLOSED,
    WATCH_LASTS,
    WATCH_LEAVES,
    WATCH_TELLS,
    WATCHED,
    CallResult,
    LawContext,
    StoreHandle,
    law,
)
from dp_core.testing.laws._running_watch import RunningWatch, told_text
from dp_core.testing.laws.settling import NO, ONE, TWO

__all__ = [
    "closing_ends_watches",
    "watches_hear_of_deadlines",
    "watches_leave_nothing",
    "watches_miss_nothing",
    "watches_outlive_an_outage",
    "watches_tell_each_once",
]

_MANY: Final = 10_000
_FEW: Final = 3
_SHORTAGE: Final = 0.3


@law(WATCH_TELLS, "watch")
async def watches_tell_each_once(context: LawContext) -> None:
    """
    A watch tells what is settled, then each as it is settled, and ends after the last.

    Some were settled before, and come in the order in which they are asked for, some
    by the handle that watches, some are disposed of; most were never named, and one is
    asked for twice. Then thousands are watched, of which a few are settled.
    """
    a, b = await context.pair()
    for settler in (a, b):
        ids = [context.id() for _ in range(12)]
        context.random.shuffle(ids)
        before: dict[str, CallResult] = dict.fromkeys(ids[::2], ONE)
        before[ids[4]] = NO
        for id in sorted(before):
            await settler.settle(id, _outcome(before[id])).ends()
        watch = RunningWatch(context, a, [*ids, ids[0], ids[1]])
        told = [(id, before[id]) for id in ids if id in before]
        await watch.has(*told)
        for number, id in enumerate(sorted(set(ids) - set(before))):
            if number % 3:
                outcome = Resolved(b"%d" % number)
                await settler.settle(id, outcome).gives(outcome)
                told.append((id, outcome))
            else:
                await settler.dispose(id).ends()
                told.append((id, DISPOSED))
            await watch.has(*told)
        await watch.ends(*told)
    await RunningWatch(context, a, []).ends()
    await _check_many(context, a, b)


def _outcome(result: CallResult) -> Outcome[bytes]:
    return NO if result == NO else ONE


async def _check_many(context: LawContext, a: StoreHandle, b: StoreHandle) -> None:
    ids = [context.id() for _ in range(min(_MANY, 10 * context.run.effort.volume))]
    watch = RunningWatch(context, a, ids, stop=_FEW)
    await watch.entered()
    told: list[tuple[str, CallResult]] = []
    for id in (ids[-1], ids[0], ids[len(ids) // 2]):
        await b.settle(id, ONE).gives(ONE)
        told.append((id, ONE))
        await watch.has(*told)
    await watch.ends(*told)


@law(WATCHED, "watch")
async def watches_miss_nothing(context: LawContext) -> None:
    """
    A watch that was entered tells whatever happens to a promise, and nothing newer.

    Once a watch is entered, and before its iterator is asked, one promise is disposed
    of and settled anew, another one settled. Then promises are settled while a watch
    that enters is held at its k-th checkpoint, for every k.
    """
    a, b = await context.pair()
    for settler in (a, b):
        ids = [context.id() for _ in range(3)]
        watch = RunningWatch(context, a, ids, asked=False)
        await watch.entered()
        await settler.dispose(ids[0]).ends()
        await settler.settle(ids[0], TWO).gives(TWO)
        await settler.settle(ids[1], ONE).gives(ONE)
        watch.ask()
        await settler.dispose(ids[2]).ends()
        await watch.ends_with((ids[0], DISPOSED), (ids[1], ONE), (ids[2], DISPOSED))
    for step in context.steps():
        ids = [context.id() for _ in range(2)]
        watch = RunningWatch(context, a, ids, hold_at=step)
        await context.rest(watch.call)
        for id in ids:
            await b.settle(id, ONE).gives(ONE)
        watch.call.release()
        await watch.ends_with(*((id, ONE) for id in ids))
        if not watch.call.is_held:
            break


@law(WATCH_LEAVES, "watch")
async def watches_leave_nothing(context: LawContext) -> None:
    """
    A watch that ends early disturbs nobody, and nor does one that is not asked.

    Watches are cancelled at their k-th checkpoint, for every k, or left, while another
    watch and a wait go on. Then dozens of promises are settled under a watch whose
    iterator nobody asks. No task goes on after its watch.
    """
    a, b = await context.pair()
    for step in context.steps():
        ids = [context.id() for _ in range(2)]
        ended = RunningWatch(context, a, ids, cancel_at=step)
        others = RunningWatch(context, a, ids)
        waiting = a.wait(ids[0])
        await context.rest(ended.call, others.call, waiting)
        reached = ended.call.reached
        await _is_gone(context, ended, ids)
        for id in ids:
            await b.settle(id, ONE).gives(ONE)
        await others.ends_with(*((id, ONE) for id in ids))
        await waiting.gives(ONE)
        if not reached:
            break
    tasks = {task.id for task in anyio.get_running_tasks()}
    ids = [context.id() for _ in range(40)]
    idle = RunningWatch(context, a, ids, asked=False)
    left = RunningWatch(context, a, ids, stop=1)
    for watch in (idle, left):
        await watch.entered()
    await b.settle(ids[0], ONE).gives(ONE)
    await left.ends((ids[0], ONE))
    for id in ids[1:]:
        await b.settle(id, ONE).gives(ONE)
    await _is_gone(context, idle, ids)

    def has_no_new_task() -> bool:
        return {task.id for task in anyio.get_running_tasks()} <= tasks

    await context.turns(10)
    if not has_no_new_task() and not await context.until(has_no_new_task):
        raise context.broken("tasks go on after their watches", ids[0])


async def _is_gone(context: LawContext, watch: RunningWatch, ids: list[str]) -> None:
    """Cancel a watch, which must end in time."""
    watch.call.cancel()
    if not await watch.call.over_within(context.log.patience):
        raise context.broken(f"{watch.call} was cancelled and goes on", *ids)


@law(WATCH_CLOSED, "watch")
async def closing_ends_watches(context: LawContext) -> None:
    """
    Closing a handle ends its watches with `BackendClosedError`.

    A handle is closed while one of its watches is asked, and another one is not. Then
    handles are closed while a watch is held at its k-th checkpoint, for every k.
    """
    closed = await context.open()
    ids = [context.id() for _ in range(3)]
    watches = [
        RunningWatch(context, closed, ids, asked=asked) for asked in (True, False)
    ]
    for watch in watches:
        await watch.entered()
    await closed.aclose().ends()
    for watch in watches:
        watch.ask()
        await watch.call.raises(BackendClosedError)
    for step in context.steps():
        closed = await context.open()
        held = RunningWatch(context, closed, ids, hold_at=step).call
        await context.rest(held)
        closing = closed.aclose()
        await context.rest(closing)
        held.release()
        await closing.ends()
        await held.raises(BackendClosedError)
        if not held.is_held:
            break


@law(TOLD, "terms", "watch")
async def watches_hear_of_deadlines(context: LawContext) -> None:
    """
    A watch is told of a deadline, though nobody acts, in about a second.

    One promise is created before the watch, one through the handle that watches, and
    one through another handle; a fourth has no deadline.
    """
    a, b = await context.pair()
    ids = [context.id() for _ in range(4)]
    await a.create(ids[0], _soon(NO)).ends()
    watch = RunningWatch(context, a, ids, stop=3)
    await watch.entered()
    await a.create(ids[1], _soon(TWO)).ends()
    await b.create(ids[2], _soon(NO)).ends()
    await watch.call.ends(*ids)
    wanted = {ids[0]: NO, ids[1]: TWO, ids[2]: NO}
    if dict(watch.told) != wanted:
        raise context.broken(f"{watch.call} told {told_text(watch.told)}", *ids)
    await a.peek(ids[3]).gives(PENDING)


def _soon(outcome: Resolved[bytes] | Rejected) -> Terms[bytes]:
    """Return terms with a deadline in a moment, by the clock of the store."""
    within = timedelta(milliseconds=100)
    return Terms(now() + within, outcome, within=within)


@law(WATCH_LASTS, "outage", "watch")
async def watches_outlive_an_outage(context: LawContext) -> None:
    """
    A watch goes on while the store fails, and tells after that.

    The store fails for a moment. One watch began before that, another one begins then.
    """
    assert context.run.outage is not None  # noqa: S101 - for the type checker
    a, b = await context.pair()
    ids = [context.id(), context.id()]
    for handle in (a, b):
        await handle.settle(context.id(), ONE).gives(ONE)
    watches = [RunningWatch(context, a, ids)]
    await watches[0].entered()
    async with context.run.outage():
        watches.append(RunningWatch(context, a, ids))
        await anyio.sleep(_SHORTAGE)
    for watch in watches:
        await watch.entered()
    for id in ids:
        await b.settle(id, ONE).gives(ONE)
    for watch in watches:
        await watch.ends_with(*((id, ONE) for id in ids))
