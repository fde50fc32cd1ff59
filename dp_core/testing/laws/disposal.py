"""Laws about disposal: the promise is forgotten, and its id starts afresh."""

from __future__ import annotations

from typing import Final

import anyio

from dp_core._states import Outcome, Rejected, Resolved
from dp_core.testing.kit import (
    CONCURRENT,
    DISPOSE,
    DISPOSED,
    DISPOSED_WAIT,
    IDS,
    PENDING,
    BackendCall,
    LawContext,
    StoreHandle,
    law,
    shown,
)
from dp_core.testing.laws.ids import ALIKE
from dp_core.testing.laws.settling import NO, ONE, TWO
from dp_core.testing.linearizability import refute

__all__ = [
    "dispose_forgets",
    "dispose_is_atomic",
    "dispose_leaves_other_ids_alone",
    "disposed_waiters_are_told",
    "disposed_waiters_hear_nothing_newer",
]

NO_MORE: Final = Rejected("no more")
THE_END: Final = Resolved(b'"the end"')

_WAITERS: Final = 12

_ATTEMPTS: Final = ((0.1, 1.5), (1.0, 3.0), (3.0, 6.0))
"""
Seconds until a waiter counts as registered, and until it must hear of a disposal.

Only a registered waiter hears of a disposal, and nobody can see from outside
when it is registered. A slow machine may need more than the first pair; a
backend that never tells its waiters fails with all of them.
"""


@law(DISPOSE)
async def dispose_forgets(context: LawContext) -> None:
    """
    A disposed promise is pending again and like new, whatever its state was.

    One id goes through 14 generations, and through outcomes that may be taken for
    nothing.
    """
    a = await context.open()
    id = context.id()
    await a.dispose(id).ends()
    await a.dispose(id).ends()
    await a.peek(id).gives(PENDING)
    await a.dispose(id).ends()
    former: Outcome[bytes] = TWO
    for generation in range(14):
        # The first two outcomes are equal: nothing of one is left for the other.
        outcome = NO if generation % 3 == 2 else Resolved(b"%d" % (generation or 1))
        await a.peek(id).gives(PENDING)
        waiting = a.wait(id)
        await context.rest(waiting)
        await a.settle(id, outcome).gives(outcome)
        await waiting.gives(outcome)
        await a.settle(id, TWO if former == outcome else former).gives(outcome)
        await a.peek(id).gives(outcome)
        await a.wait(id).gives(outcome)
        await a.dispose(id).ends()
        former = outcome
    await a.peek(id).gives(PENDING)
    for empty in _EMPTY:
        await a.settle(id, empty).ends()
        await a.dispose(id).ends()
        await a.peek(id).gives(PENDING)
        await a.settle(id, TWO).gives(TWO)
        await a.dispose(id).ends()


_EMPTY: Final[tuple[Outcome[bytes], ...]] = (
    *(Rejected(""), Rejected("0"), Resolved(b"null"), Resolved(b'""')),
    *(Resolved(b"false"), Resolved(b"0"), Resolved(b"[]"), Resolved(b"{}")),
)


@law(DISPOSED_WAIT)
async def disposed_waiters_are_told(context: LawContext) -> None:
    """
    A waiter of a promise that is disposed of gets an error, and soon.

    Only a registered waiter hears of a disposal, and nobody can see from outside
    when it is registered. So there are up to three attempts, each with more time.
    """
    a, b = await context.pair()
    for head_start, bound in _attempts(context):
        id = context.id()
        waiting = [handle.wait(id) for handle in (a, b) * _WAITERS]
        await context.rest(*waiting)
        await anyio.sleep(head_start)
        await b.dispose(id).ends()
        await context.all_over(waiting, min(bound, context.log.patience))
        wrong = [call for call in waiting if call.result is not DISPOSED]
        if not wrong:
            return
    raise context.broken(
        f"{len(wrong)} of {len(waiting)} waiters did not hear of the disposal, "
        f"among them {wrong[0]}: {shown(wrong[0].result)}",
        id,
    )


@law(DISPOSED_WAIT)
async def disposed_waiters_hear_nothing_newer(context: LawContext) -> None:
    """
    A waiter of a disposed promise never gets the outcome of the next generation.

    A waiter is held where the disposal wakes it, until the next generation is
    settled.
    """
    a, b = await context.pair()
    for settled in (False, True):
        deaf: BackendCall | None = None
        for head_start, _ in _attempts(context):
            deaf = await _gets_the_next(context, a, b, head_start, settled=settled)
            if deaf is None:
                break
        if deaf is not None:
            result = shown(deaf.result)
            raise context.broken(
                f"{deaf} gave {result}, of the next generation", deaf.id
            )


def _attempts(context: LawContext) -> list[tuple[float, float]]:
    first, *more = _ATTEMPTS
    return [first, *(one for one in more if one[0] <= context.log.patience)]


async def _gets_the_next(
    context: LawContext,
    waiter: StoreHandle,
    other: StoreHandle,
    head_start: float,
    *,
    settled: bool,
) -> BackendCall | None:
    """
    Settle the next generation before a waiter of the former one runs again.

    Args:
        context: The law's context.
        waiter: The handle that waits.
        other: The handle that makes all other calls.
        head_start: Seconds until the waiter counts as registered.
        settled: Whether the promise was settled before it was disposed of.

    Returns:
        The waiter that got the outcome of the next generation, if there is one.
    """
    for step in (0, *context.steps()):
        id = context.id()
        waiting = waiter.wait(id, hold_at=step)
        await context.rest(waiting)
        await anyio.sleep(0 if waiting.is_held else head_start)
        if waiting.is_held:
            # It is not registered yet. Wanted is a waiter that is held after it
            # was woken, until there is a new outcome.
            waiting.cancel()
            await context.all_over([waiting], context.log.patience)
            continue
        if settled:
            await _while_held(context, waiting, other.settle(id, ONE))
        await _while_held(context, waiting, other.dispose(id))
        settling = other.settle(id, TWO)
        await context.rest(settling)
        was_held = waiting.is_held
        waiting.release()
        await settling.gives(TWO)
        await waiting.ends()
        if waiting.result not in ((ONE, DISPOSED) if settled else (DISPOSED,)):
            return waiting
        if step and not was_held:
            break
    return None


async def _while_held(
    context: LawContext, held: BackendCall, call: BackendCall
) -> None:
    """End *call* while *held* is held, unless *held* has a lock that *call* needs."""
    await context.rest(call)
    if not call.is_over:
        held.release()
    await call.ends()


@law(IDS)
async def dispose_leaves_other_ids_alone(context: LawContext) -> None:
    """
    Disposing of one promise affects no other, however alike their ids.

    The other ids are prefixes, suffixes and look-alikes of the first.
    """
    a = await context.open()
    base = context.id("xyz")
    alike = [base[:-1], base[:-2], f"{base}/y", f"{base}y", f"{base}.1", f"x{base}"]
    await a.settle(base, ONE).gives(ONE)
    settled, waited = alike[::2], alike[1::2]
    for id in settled:
        await a.settle(id, TWO).gives(TWO)
    waiting = {id: a.wait(id) for id in waited}
    await context.rest(*waiting.values())
    await a.dispose(base).ends()
    await a.peek(base).gives(PENDING)
    for id in settled:
        await a.peek(id).gives(TWO, besides=[base])
    for id in waited:
        await a.settle(id, NO).gives(NO, besides=[base])
        await waiting[id].gives(NO, besides=[base])
    for ends in ALIKE:
        for one, other in (ends, ends[::-1]):
            base = context.id("/")
            await a.settle(base + one, ONE).ends()
            if await a.peek(base + other).ends() != PENDING:
                # The store takes both ids for one; the laws about ids report that.
                continue
            await a.settle(base + other, TWO).ends()
            await a.dispose(base + other).ends()
            await a.peek(base + one).gives(ONE, besides=[base + other])


@law(CONCURRENT)
async def dispose_is_atomic(context: LawContext) -> None:
    """
    A disposal comes before or after each call it meets; newer outcomes stay.

    A disposal, a settle or a peek is held at its k-th checkpoint, for every k,
    while other calls come and go. Then the results must be linearizable.
    """
    a, b = await context.pair()
    for other in dict.fromkeys((a, b)):
        for held, meanwhile in _MEETINGS:
            for step in context.steps():
                id = context.id()
                await a.settle(id, ONE).gives(ONE)
                calls = [held(a, id, step)]
                await context.rest(*calls)
                for start in meanwhile:
                    calls.append(start(other, id))
                    await context.rest(calls[-1])
                calls[0].release()
                for call in calls:
                    await call.ends()
                for last, handle in ((NO_MORE, a), (THE_END, other)):
                    await handle.peek(id).ends()
                    await handle.settle(id, last).ends()
                broken = refute(context.log.calls_on(id))
                if broken:
                    raise broken
                if not calls[0].is_held:
                    break


def _disposing(handle: StoreHandle, id: str, step: int) -> BackendCall:
    return handle.dispose(id, hold_at=step)


def _peeking(handle: StoreHandle, id: str, step: int) -> BackendCall:
    return handle.peek(id, hold_at=step)


def _settling(handle: StoreHandle, id: str, step: int) -> BackendCall:
    return handle.settle(id, NO, hold_at=step)


def _settle(handle: StoreHandle, id: str) -> BackendCall:
    return handle.settle(id, TWO)


def _dispose(handle: StoreHandle, id: str) -> BackendCall:
    return handle.dispose(id)


def _peek(handle: StoreHandle, id: str) -> BackendCall:
    return handle.peek(id)


_MEETINGS: Final = (
    (_disposing, (_settle,)),
    (_disposing, (_dispose, _settle)),
    (_disposing, (_peek,)),
    (_disposing, (*(_peek,) * 8, _settle)),
    (_settling, (_dispose,)),
    (_settling, (_dispose, _settle)),
    (_peeking, (_dispose,)),
    (_peeking, (_dispose, _settle)),
)
