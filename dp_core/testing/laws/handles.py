"""Laws about handles on one store, at the same time or one after another."""

from __future__ import annotations

from typing import Final

from dp_core._errors import BackendClosedError, DurablePromiseError
from dp_core._states import Outcome, Rejected, Resolved
from dp_core.testing.kit import (
    CLOSE,
    CLOSED,
    CLOSED_WAIT,
    DISPOSE_DURABLE,
    NO_LOST_WAKE_UP,
    PENDING,
    STAYS,
    SURVIVES,
    TWICE,
    BackendCall,
    LawContext,
    law,
)
from dp_core.testing.laws.settling import NO, ONE, TWO
from dp_core.testing.laws.values import MESSAGES, NUMBERS, TEXTS, VALUES
from dp_core.testing.linearizability import refute
from dp_core.values import MAX_VALUE_BYTES, encode

__all__ = [
    "closed_handles_keep_nobody_waiting",
    "closing_ends_waits",
    "closing_touches_no_promise",
    "closing_twice_is_no_error",
    "disposals_survive_reopening",
    "handles_forget_together",
    "handles_see_each_other",
    "handles_wake_each_other",
    "outcomes_survive_reopening",
    "reopening_changes_nothing",
]


@law(STAYS, "shared")
async def handles_see_each_other(context: LawContext) -> None:
    """
    All handles return an outcome that one settled, whenever they were opened.

    Four handles are opened at the same time, and one later.
    """
    a, b, *_ = await context.open_at_once(4)
    for outcome in (ONE, NO):
        early, late = context.id(), context.id()
        for handle in (a, b):
            await handle.peek(early).gives(PENDING)
        await a.settle(early, outcome).gives(outcome)
        await b.peek(early).gives(outcome)
        c = await context.open()
        await c.peek(early).gives(outcome)
        await c.peek(late).gives(PENDING)
        await c.settle(late, outcome).gives(outcome)
        for handle in (a, b, c):
            await handle.settle(early, TWO).gives(outcome)
            await handle.settle(late, TWO).gives(outcome)
            await handle.peek(late).gives(outcome)


@law(NO_LOST_WAKE_UP, "shared")
async def handles_wake_each_other(context: LawContext) -> None:
    """
    A settle through one handle wakes the waiters of all handles.

    Each of four handles settles a promise that has a waiter on all four.
    """
    handles = [await context.open() for _ in range(4)]
    for n, settler in enumerate(handles):
        outcome = (ONE, NO)[n % 2]
        id = context.id()
        waiting = [handle.wait(id) for handle in handles]
        await context.rest(*waiting)
        await settler.settle(id, outcome).gives(outcome)
        for call in waiting:
            await call.gives(outcome)


@law(DISPOSE_DURABLE, "shared")
async def handles_forget_together(context: LawContext) -> None:
    """After a disposal through one handle, no handle returns the outcome."""
    handles = [await context.open() for _ in range(4)]
    id = context.id()
    for n, disposer in enumerate(handles):
        outcome = Resolved(b"%d" % n)
        await disposer.settle(id, outcome).gives(outcome)
        for handle in handles:
            await handle.peek(id).gives(outcome)
            await handle.wait(id).gives(outcome)
        await disposer.dispose(id).ends()
        for handle in handles:
            await handle.peek(id).gives(PENDING)


# One after another ----------------------------------------------------------


@law(SURVIVES, "durable")
async def outcomes_survive_reopening(context: LawContext) -> None:
    """An acknowledged outcome is there after reopening, and still the first."""
    a = await context.open()
    for outcome in (ONE, NO):
        id, other = context.id(), context.id()
        await a.settle(id, outcome).gives(outcome)
        a = await context.reopen()
        await a.peek(id).gives(outcome)
        await a.wait(id).gives(outcome)
        await a.settle(id, TWO).gives(outcome)
        await a.peek(other).gives(PENDING)
        a = await context.reopen()
        await a.settle(id, TWO).gives(outcome)
        await a.wait(id).gives(outcome)


@law(DISPOSE_DURABLE, "durable")
async def disposals_survive_reopening(context: LawContext) -> None:
    """A disposal, and an outcome settled after it, are there after reopening."""
    a = await context.open()
    for outcome in (ONE, NO):
        at_once, later = context.id(), context.id()
        await a.settle(later, outcome).gives(outcome)
        await a.settle(at_once, outcome).gives(outcome)
        await a.dispose(at_once).ends()
        a = await context.reopen()
        await a.peek(at_once).gives(PENDING)
        await a.settle(at_once, TWO).gives(TWO)
        await a.dispose(later).ends()
        a = await context.reopen()
        await a.peek(at_once).gives(TWO)
        await a.peek(later).gives(PENDING)
        await a.settle(later, TWO).gives(TWO)
        a = await context.reopen()
        await a.peek(later).gives(TWO)
        # A count of generations goes on from where it was.
        for newest in (outcome, TWO):
            await a.dispose(later).ends()
            a = await context.reopen()
            await a.peek(later).gives(PENDING)
            await a.settle(later, newest).gives(newest)
            a = await context.reopen()
            await a.peek(later).gives(newest)


@law(SURVIVES, "durable")
async def reopening_changes_nothing(context: LawContext) -> None:
    """Reopening changes no value, no message and no id."""
    a = await context.open()
    outcomes: list[Outcome[bytes]] = [*map(Resolved, TEXTS), *map(Rejected, MESSAGES)]
    outcomes += [Resolved(encode(value)) for value in (*VALUES, *NUMBERS)]
    for size in (5000, 70_000, 300_000, MAX_VALUE_BYTES):
        text = f'"{"x" * (size - 2)}"'
        outcomes += [Resolved(text.encode()), Rejected(text[1:-1])]
    ids: dict[str, Outcome[bytes]] = {context.id(tail): ONE for tail in _TAILS}
    ids |= {context.id(head=head): NO for head in _TAILS}
    ids |= {context.id(): outcome for outcome in outcomes}
    for id, outcome in ids.items():
        await a.settle(id, outcome).ends()
    before = {id: await a.peek(id).ends() for id in ids}
    a = await context.reopen()
    for id, state in before.items():
        await a.peek(id).gives(state)


_TAILS: Final = ("\n", " ", "é", "e\u0301", "/..", "\U0001f600", "\r\n", '"', "'", "\\")


# Closing --------------------------------------------------------------------


@law(CLOSE, "shared")
async def closing_touches_no_promise(context: LawContext) -> None:
    """
    Closing one handle affects no promise and no other handle.

    A handle is closed while its settle is held at its k-th checkpoint, and its
    close is cancelled at its k-th checkpoint, for every k.
    """
    a, b = await context.pair()
    settled, waited = context.id(), context.id()
    await a.settle(settled, ONE).gives(ONE)
    waiting = b.wait(waited)
    await context.rest(waiting)
    await a.aclose().ends()
    await b.peek(settled).gives(ONE)
    await b.peek(waited).gives(PENDING)
    await b.settle(waited, NO).gives(NO)
    await waiting.gives(NO)
    await b.peek(settled).gives(ONE)
    for step in context.steps():
        closed = await context.open()
        id = context.id()
        early = closed.settle(id, ONE, hold_at=step)
        await context.rest(early)
        closing = closed.aclose()
        await context.rest(closing)
        early.release()
        await closing.ends()
        if not await early.over_within(context.log.patience):
            await early.ends()
        # Whether it took effect or not, the others go on.
        await b.settle(id, TWO).ends()
        await b.peek(id).ends()
        if broken := refute(context.log.calls_on(id)):
            raise broken
        if not early.is_held:
            break
    for step in context.steps():
        interrupted = await context.open()
        id = context.id()
        await interrupted.settle(id, ONE).gives(ONE)
        closing = interrupted.aclose(cancel_at=step)
        await context.all_over([closing], context.log.patience)
        await b.peek(id).gives(ONE)
        await b.settle(context.id(), TWO).gives(TWO)
        if not closing.reached:
            break


@law(TWICE)
async def closing_twice_is_no_error(context: LawContext) -> None:
    """A handle may be closed twice, and while it is being closed."""
    unused, used = await context.open(), await context.open()
    await used.settle(context.id(), ONE).gives(ONE)
    for handle in (unused, used):
        for call in (handle.aclose(), handle.aclose()):
            await call.ends()
        await handle.aclose().ends()


@law(CLOSED_WAIT)
async def closing_ends_waits(context: LawContext) -> None:
    """
    Closing a handle ends its waits with `BackendClosedError`.

    A handle is closed under four waits, for three promises. Then handles are closed
    under a wait that is held at its k-th checkpoint, for every k.
    """
    closed = await context.open()
    ids = [context.id() for _ in range(3)]
    waiting = [closed.wait(id) for id in (*ids, ids[0])]
    await context.rest(*waiting)
    await closed.aclose().ends()
    for call in waiting:
        await call.raises(BackendClosedError)
    for step in context.steps():
        closed = await context.open()
        held = closed.wait(context.id(), hold_at=step)
        await context.rest(held)
        closing = closed.aclose()
        await context.rest(closing)
        held.release()
        await closing.ends()
        await held.raises(BackendClosedError)
        if not held.is_held:
            break


@law(CLOSED)
async def closed_handles_keep_nobody_waiting(context: LawContext) -> None:
    """On a closed handle every call ends, with a deliberate error or a right result."""
    a, b = await context.pair()
    settled, waited = context.id(), context.id()
    await a.settle(settled, ONE).gives(ONE)
    waiting = a.wait(waited)
    await context.rest(waiting)
    await a.aclose().ends()
    calls = [a.peek(settled), a.wait(settled), a.settle(settled, TWO)]
    for call in calls:
        if not await _refused(context, call):
            await call.gives(ONE)
    id = context.id()
    for call in (a.peek(id), a.dispose(id)):
        await _refused(context, call)
    acknowledged = not await _refused(context, a.settle(id, TWO))
    if context.run.shared:
        forgotten = not await _refused(context, a.dispose(settled))
        await b.peek(settled).gives(PENDING, *([] if forgotten else [ONE]))
        await b.peek(id).gives(*([TWO] if acknowledged else [TWO, PENDING]))
        await b.settle(waited, NO).gives(NO)
        if not await _refused(context, waiting):
            await waiting.gives(NO)


_ACCIDENTS: Final = (AttributeError, TypeError, NameError, LookupError, AssertionError)


async def _refused(context: LawContext, call: BackendCall) -> bool:
    """Return whether *call* ended with an error, which must be a deliberate one."""
    if await call.over_within(context.log.patience) and call.failed:
        error = call.result
        if isinstance(error, DurablePromiseError):
            return True
        if isinstance(error, Exception) and not isinstance(error, _ACCIDENTS):
            return True
    await call.ends()
    return False
