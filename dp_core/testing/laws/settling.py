"""Laws about settling: the first outcome wins, and it stays."""

from __future__ import annotations

from itertools import product
from typing import Final

import anyio

from dp_core._states import Outcome, Rejected, Resolved
from dp_core.testing.kit import (
    FIRST_WINS,
    PENDING,
    SETTLE,
    STAYS,
    LawContext,
    StoreHandle,
    law,
)

__all__ = [
    "first_completion_wins",
    "racing_settlers_agree",
    "settle_is_atomic",
    "settle_others",
    "time_changes_nothing",
    "volume_changes_nothing",
]

ONE: Final = Resolved(b"1")
TWO: Final = Resolved(b'"two"')
NO: Final = Rejected("no")
LATE: Final = Rejected("too late")

_BULK: Final = Resolved(b'"%b"' % (b"x" * 99_998))
_RACERS: Final = 64
_BATCH: Final = 32


@law(FIRST_WINS)
async def first_completion_wins(context: LawContext) -> None:
    """A settle after the first changes nothing and returns the first outcome."""
    a = await context.open()
    firsts: tuple[Outcome[bytes], ...] = (ONE, NO)
    alike = (Resolved(b"1.0"), Resolved(b"true"), Rejected("1"), Resolved(b'"no"'))
    laters: tuple[Outcome[bytes], ...] = (ONE, TWO, NO, LATE, *alike)
    for first, later in product(firsts, laters):
        id = context.id()
        await a.peek(id).gives(PENDING)
        await a.settle(id, first).gives(first)
        await a.settle(id, later).gives(first)
        await a.peek(id).gives(first)
        await a.settle(id, later).gives(first)


@law(FIRST_WINS)
async def racing_settlers_agree(context: LawContext) -> None:
    """
    Of many concurrent settles one wins, and all return its outcome.

    64 settles start at the same time, through one handle and then through two.
    """
    a, b = await context.pair()
    for racers in ((a,), (b, a)):
        id = context.id()
        offers = [
            Resolved(b"%d" % n) if n % 3 else Rejected(f"no {n}")
            for n in range(_RACERS)
        ]
        calls = [
            racers[n % len(racers)].settle(id, offer) for n, offer in enumerate(offers)
        ]
        won = await calls[0].gives(*offers)
        for call in calls:
            await call.gives(won)
        await a.peek(id).gives(won)


@law(SETTLE)
async def settle_is_atomic(context: LawContext) -> None:
    """
    Two concurrent settles return the same outcome, wherever they meet.

    One settle is held at its k-th checkpoint, for every k, while another runs from
    start to end.
    """
    a, b = await context.pair()
    for other in dict.fromkeys((a, b)):
        for first, second in ((ONE, TWO), (ONE, NO), (NO, ONE), (_BULK, TWO)):
            for step in context.steps():
                id = context.id()
                early = a.settle(id, first, hold_at=step)
                await context.rest(early)
                late = other.settle(id, second)
                await context.rest(late)
                if early.is_held:
                    await context.seem_dead()
                early.release()
                won = await early.ends()
                if first is not _BULK:
                    await early.gives(first, second)
                await late.gives(won)
                await a.peek(id).gives(won)
                if not early.is_held:
                    break


@law(STAYS)
async def time_changes_nothing(context: LawContext) -> None:
    """
    Time alone settles no promise, forgets none, and ends no wait.

    Some promises are left alone for `Effort.linger` seconds.
    """
    a = await context.open()
    resolved, rejected, pending, waited = (context.id() for _ in range(4))
    await a.settle(resolved, ONE).gives(ONE)
    await a.settle(rejected, NO).gives(NO)
    await a.peek(pending).gives(PENDING)
    waiting = a.wait(waited)
    await anyio.sleep(context.run.effort.linger)
    await a.peek(resolved).gives(ONE)
    await a.peek(rejected).gives(NO)
    await a.peek(pending).gives(PENDING)
    await a.settle(waited, TWO).gives(TWO)
    await waiting.gives(TWO)


@law(STAYS)
async def volume_changes_nothing(context: LawContext) -> None:
    """
    Any number of other promises leaves a promise as it is.

    `Effort.volume` other promises are settled.
    """
    a = await context.open()
    resolved, rejected, pending = (context.id() for _ in range(3))
    await a.settle(resolved, ONE).gives(ONE)
    await a.settle(rejected, NO).gives(NO)
    await a.peek(pending).gives(PENDING)
    others = await settle_others(context, a, context.run.effort.volume)
    some = [*context.random.sample([*others], len(others) // 4), *[*others][-1:]]
    for reopened in (False, True)[: 1 + context.run.durable]:
        if reopened:
            a = await context.reopen()
        await a.peek(resolved).gives(ONE)
        await a.peek(rejected).gives(NO)
        await a.peek(pending).gives(PENDING)
        for id in some:
            await a.peek(id).gives(others[id])


async def settle_others(
    context: LawContext, handle: StoreHandle, number: int
) -> dict[str, Resolved[bytes]]:
    """Settle *number* other promises, some at a time; return their outcomes."""
    crowd: dict[str, Resolved[bytes]] = {}
    for start in range(0, number, _BATCH):
        batch = {
            Resolved(b"%d" % n): context.id()
            for n in range(start, min(start + _BATCH, number))
        }
        calls = {value: handle.settle(id, value) for value, id in batch.items()}
        for value, call in calls.items():
            await call.gives(value)
        crowd |= {id: value for value, id in batch.items()}
    return crowd
