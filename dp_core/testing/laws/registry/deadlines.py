"""Laws about deadlines: they settle, like anybody, and nobody sees them late."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

import anyio

from dp_core._states import Outcome, Rejected, Resolved
from dp_core._terms import Query, Terms
from dp_core.backend import now
from dp_core.testing.kit import (
    LATE_LOSES,
    OVER,
    PENDING,
    TOLD,
    LawContext,
    StoreHandle,
    law,
)

__all__ = [
    "deadlines_settle_once",
    "deadlines_settle_who_is_listed",
    "deadlines_settle_whoever_asks",
    "deadlines_survive_reopening",
    "early_settles_stay",
    "late_settles_lose",
    "waiters_hear_of_deadlines",
]

ONE: Final = Resolved(b"1")
LATE: Final = Rejected("too late")
PAST: Final = datetime(2001, 2, 3, 4, 5, 6, 789_000, tzinfo=UTC)
OUTCOMES: Final[tuple[Outcome[bytes], ...]] = (LATE, Resolved(b'"by default"'))

_SOON: Final = timedelta(milliseconds=100)
_ROUNDED: Final = 0.01
"""The time by which a deadline comes later because stores round it up, in seconds."""


def _soon(outcome: Outcome[bytes], within: timedelta = _SOON) -> Terms[bytes]:
    """Return terms with a deadline in a moment, by the clock of the store."""
    return Terms(now() + within, outcome, within=within)


async def _is_over(within: timedelta = _SOON) -> None:
    """Wait until the deadline of a promise is over that was created before."""
    await anyio.sleep(within.total_seconds() + _ROUNDED)


@law(OVER, "terms")
async def deadlines_settle_whoever_asks(context: LawContext) -> None:
    """
    A promise whose deadline is over is settled for every operation.

    Each operation is the first to come, through the handle that created the promise
    and through another; all that come after it agree.
    """
    a, b = await context.pair()
    for outcome, first in zip(OUTCOMES, (a, b), strict=True):
        for operation in ("peek", "settle", "wait", "info"):
            id = context.id()
            await a.create(id, Terms(PAST, outcome)).ends()
            if operation == "info":
                if (await first.known(id)).state != outcome:
                    raise context.broken(f"info does not say {outcome!r}", id)
            else:
                given = (ONE,) if operation == "settle" else ()
                await getattr(first, operation)(id, *given).gives(outcome)
            for handle in (a, b):
                await handle.peek(id).gives(outcome)
            info = await first.known(id)
            if not info.expired or info.settled_by is not None:
                raise context.broken("info does not say that it expired", id)


@law(OVER, "terms", "listing")
async def deadlines_settle_who_is_listed(context: LawContext) -> None:
    """A promise whose deadline is over is on no list of pending ones."""
    a, b = await context.pair()
    head = context.id(tail="/")
    ids = [context.id(head=head) for _ in range(5)]
    for id in ids:
        await a.create(id, Terms(PAST, LATE)).ends()
    for state, wanted in (("pending", []), ("rejected", ids), (None, ids)):
        call = b.list(Query(state, prefix=head), None, 100)  # type: ignore[arg-type] # one of the three
        await call.ends()
        found = [info.id for info in call.returned.infos]
        if found != wanted:
            raise context.broken(
                f"of state {state} are {found}, and not {wanted}", *ids
            )
    for id in ids:
        await a.peek(id).gives(LATE)


@law(LATE_LOSES, "terms")
async def late_settles_lose(context: LawContext) -> None:
    """
    A settle after the deadline changes nothing and returns what the deadline said.

    The deadline comes while the promise is there, and nobody asks for it.
    """
    a, b = await context.pair()
    made = {context.id(): (outcome, h) for outcome in OUTCOMES for h in (a, b)}
    for id, (outcome, _) in made.items():
        await a.create(id, _soon(outcome)).ends()
    await _is_over()
    for id, (outcome, handle) in made.items():
        await handle.settle(id, ONE).gives(outcome)
        for again in (a, b):
            await again.peek(id).gives(outcome)


async def _settles_early(
    context: LawContext, a: StoreHandle, b: StoreHandle, id: str, within: timedelta
) -> bool:
    """Create a promise and settle it; return whether that was before its deadline."""
    began = anyio.current_time()
    await a.create(id, _soon(LATE, within)).ends()
    if await b.settle(id, ONE).gives(ONE, LATE) == ONE:
        return True
    # Clocks run at nearly the same rate, whatever time they say.
    if anyio.current_time() - began < within.total_seconds() / 2:
        raise context.broken("it lost to a deadline that was not over", id)
    return False


@law(OVER, "terms")
async def early_settles_stay(context: LawContext) -> None:
    """
    An outcome from before the deadline stays when the deadline is over.

    Where the store is so slow that the deadline comes first, it is given more time, as
    long as any call may take. If that was too little, the law is not judged.
    """
    a, b = await context.pair()
    within = _SOON
    id = context.id()
    while not await _settles_early(context, a, b, id, within):
        within, id = 4 * within, context.id()
        if within.total_seconds() > context.run.patience:
            raise context.not_judged(
                "to create and settle a promise takes longer than a deadline that is "
                f"{(within / 4).total_seconds():g} s away"
            )
    await _is_over(within)
    for handle in (a, b):
        await handle.peek(id).gives(ONE)
        await handle.settle(id, LATE).gives(ONE)
        if (await handle.known(id)).expired:
            raise context.broken("it was settled, and not by its deadline", id)


@law(OVER, "terms")
async def deadlines_settle_once(context: LawContext) -> None:
    """
    A settle that meets the deadline wins for all, or loses for all.

    Many promises are settled and looked at just when their deadlines come.
    """
    a, b = await context.pair()
    ids = [context.id() for _ in range(16)]
    creates = [a.create(id, _soon(LATE)) for id in ids]
    calls = [(id, b.wait(id)) for id in ids]
    for create in creates:
        await create.ends()
    for number, id in enumerate(ids):
        await anyio.sleep(1.2 * _SOON.total_seconds() / len(ids))
        calls += [(id, (a, b)[number % 2].settle(id, ONE)), (id, b.peek(id))]
    await _is_over()
    for id in ids:
        won = await a.settle(id, ONE).gives(ONE, LATE)
        for other, call in calls:
            if other == id and call.operation != "peek":
                await call.gives(won)
            elif other == id:
                await call.gives(won, PENDING)


@law(TOLD, "terms")
async def waiters_hear_of_deadlines(context: LawContext) -> None:
    """
    A waiter is told of a deadline, though nobody acts, in about a second.

    It came before the promise was created, through the same handle and through another,
    or after; or it waited for another promise all the time.
    """
    a, b = await context.pair()
    other = context.id()
    aside = a.wait(other)
    early = {context.id(): outcome for outcome in OUTCOMES}
    late = {context.id(): outcome for outcome in OUTCOMES}
    waiting = [(h.wait(id), outcome) for id, outcome in early.items() for h in (a, b)]
    await context.rest(aside, *(call for call, _ in waiting))
    for id, outcome in early.items():
        await a.create(id, _soon(outcome)).ends()
    for id, outcome in late.items():
        await b.create(id, _soon(outcome)).ends()
        waiting += [(handle.wait(id), outcome) for handle in (a, b)]
    for call, outcome in waiting:
        await call.gives(outcome)
    if aside.is_over:
        raise context.broken("its wait ended, and it is pending", other)


@law(OVER, "terms", "durable")
async def deadlines_survive_reopening(context: LawContext) -> None:
    """A deadline that comes while no handle is open has settled the promise."""
    a = await context.open()
    asked, waited = context.id(), context.id()
    for id in (asked, waited):
        await a.create(id, _soon(LATE)).ends()
    await context.close()
    context.log.note("(all handles closed, until the deadline is over)")
    await _is_over()
    b = await context.open()
    await b.wait(waited).gives(LATE)
    await b.settle(asked, ONE).gives(LATE)
