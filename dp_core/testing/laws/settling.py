"""The first completion wins."""

from __future__ import annotations

from itertools import product
from typing import Final

import anyio

from dp_core._states import Outcome, Rejected, Resolved
from dp_core.testing._calls import PENDING
from dp_core.testing._contract import FIRST_WINS, SETTLE, STANDS
from dp_core.testing._lab import Handle, Lab
from dp_core.testing._law import law

__all__ = [
    "crowd_in",
    "first_completion_wins",
    "racing_settlers_agree",
    "settle_is_atomic",
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
async def first_completion_wins(lab: Lab) -> None:
    """Completions after the first change nothing and are told what stands."""
    a = await lab.open()
    firsts: tuple[Outcome[bytes], ...] = (ONE, NO)
    alike = (Resolved(b"1.0"), Resolved(b"true"), Rejected("1"), Resolved(b'"no"'))
    for first, later in product(firsts, (*firsts, TWO, LATE, *alike)):
        id = lab.id()
        await a.peek(id).tells(PENDING)
        await a.settle(id, first).tells(first)
        await a.settle(id, later).tells(first)
        await a.peek(id).tells(first)
        await a.settle(id, later).tells(first)


@law(FIRST_WINS)
async def racing_settlers_agree(lab: Lab) -> None:
    """Of many who settle at once one wins, and all are told the same outcome."""
    a, b = await lab.pair()
    for racers in ((a,), (b, a)):
        id = lab.id()
        offers = [
            Resolved(b"%d" % n) if n % 3 else Rejected(f"no {n}")
            for n in range(_RACERS)
        ]
        calls = [
            racers[n % len(racers)].settle(id, offer) for n, offer in enumerate(offers)
        ]
        won = await calls[0].tells(*offers)
        for call in calls:
            await call.tells(won)
        await a.peek(id).tells(won)


@law(SETTLE)
async def settle_is_atomic(lab: Lab) -> None:
    """Two who settle are told the same, wherever one is when the other comes."""
    a, b = await lab.pair()
    for other in dict.fromkeys((a, b)):
        for first, second in ((ONE, TWO), (ONE, NO), (NO, ONE), (_BULK, TWO)):
            for step in lab.steps():
                id = lab.id()
                early = a.settle(id, first, hold_at=step)
                await lab.rest(early)
                late = other.settle(id, second)
                await lab.rest(late)
                if early.is_held:
                    await lab.pass_for_dead()
                early.release()
                won = await early.ends()
                if first is not _BULK:
                    await early.tells(first, second)
                await late.tells(won)
                await a.peek(id).tells(won)
                if not early.is_held:
                    break


@law(STANDS)
async def time_changes_nothing(lab: Lab) -> None:
    """Time alone settles, forgets and gives up nothing."""
    a = await lab.open()
    resolved, rejected, pending, waited = (lab.id() for _ in range(4))
    await a.settle(resolved, ONE).tells(ONE)
    await a.settle(rejected, NO).tells(NO)
    await a.peek(pending).tells(PENDING)
    waiting = a.wait(waited)
    await anyio.sleep(lab.run.effort.linger)
    await a.peek(resolved).tells(ONE)
    await a.peek(rejected).tells(NO)
    await a.peek(pending).tells(PENDING)
    await a.settle(waited, TWO).tells(TWO)
    await waiting.tells(TWO)


@law(STANDS)
async def volume_changes_nothing(lab: Lab) -> None:
    """Any number of other promises leaves a promise as it is."""
    a = await lab.open()
    resolved, rejected, pending = (lab.id() for _ in range(3))
    await a.settle(resolved, ONE).tells(ONE)
    await a.settle(rejected, NO).tells(NO)
    await a.peek(pending).tells(PENDING)
    others = await crowd_in(lab, a, lab.run.effort.volume)
    some = [*lab.random.sample([*others], len(others) // 4), *[*others][-1:]]
    for reopened in (False, True)[: 1 + lab.run.durable]:
        if reopened:
            a = await lab.reopen()
        await a.peek(resolved).tells(ONE)
        await a.peek(rejected).tells(NO)
        await a.peek(pending).tells(PENDING)
        for id in some:
            await a.peek(id).tells(others[id])


async def crowd_in(lab: Lab, handle: Handle, number: int) -> dict[str, Resolved[bytes]]:
    """Settle *number* other promises, some at a time; return them."""
    crowd: dict[str, Resolved[bytes]] = {}
    for start in range(0, number, _BATCH):
        batch = {
            Resolved(b"%d" % n): lab.id()
            for n in range(start, min(start + _BATCH, number))
        }
        calls = {value: handle.settle(id, value) for value, id in batch.items()}
        for value, call in calls.items():
            await call.tells(value)
        crowd |= {id: value for value, id in batch.items()}
    return crowd
