"""Several handles on one store, one after another or at the same time."""

from __future__ import annotations

from typing import Final

from dp_core._errors import DurablePromiseError
from dp_core._states import Outcome, Rejected, Resolved
from dp_core.testing._calls import PENDING, Call
from dp_core.testing._contract import (
    CLOSE,
    CLOSED,
    DISPOSE_DURABLE,
    NO_LOST_WAKE_UP,
    STANDS,
    SURVIVES,
    TWICE,
)
from dp_core.testing._lab import Lab
from dp_core.testing._law import law
from dp_core.testing.laws.settling import NO, ONE, TWO
from dp_core.testing.laws.values import MESSAGES, NUMBERS, TEXTS, VALUES
from dp_core.testing.linearizability import refute
from dp_core.values import MAX_VALUE_BYTES, encode

__all__ = [
    "closed_handles_keep_nobody_waiting",
    "closing_touches_no_promise",
    "closing_twice_is_no_error",
    "disposals_survive_reopening",
    "handles_forget_together",
    "handles_see_each_other",
    "handles_wake_each_other",
    "outcomes_survive_reopening",
    "reopening_changes_nothing",
]


@law(STANDS, "shared")
async def handles_see_each_other(lab: Lab) -> None:
    """What one handle settles, all others tell, whenever they were opened."""
    a, b, *_ = await lab.open_at_once(4)
    for outcome in (ONE, NO):
        early, late = lab.id(), lab.id()
        for handle in (a, b):
            await handle.peek(early).tells(PENDING)
        await a.settle(early, outcome).tells(outcome)
        await b.peek(early).tells(outcome)
        c = await lab.open()
        await c.peek(early).tells(outcome)
        await c.peek(late).tells(PENDING)
        await c.settle(late, outcome).tells(outcome)
        for handle in (a, b, c):
            await handle.settle(early, TWO).tells(outcome)
            await handle.settle(late, TWO).tells(outcome)
            await handle.peek(late).tells(outcome)


@law(NO_LOST_WAKE_UP, "shared")
async def handles_wake_each_other(lab: Lab) -> None:
    """Waiters are told also of what comes through another handle."""
    handles = [await lab.open() for _ in range(4)]
    for n, settler in enumerate(handles):
        outcome = (ONE, NO)[n % 2]
        id = lab.id()
        waiting = [handle.wait(id) for handle in handles]
        await lab.rest(*waiting)
        await settler.settle(id, outcome).tells(outcome)
        for call in waiting:
            await call.tells(outcome)


@law(DISPOSE_DURABLE, "shared")
async def handles_forget_together(lab: Lab) -> None:
    """What one handle disposed of, no other one tells any more."""
    handles = [await lab.open() for _ in range(4)]
    id = lab.id()
    for n, disposer in enumerate(handles):
        outcome = Resolved(b"%d" % n)
        await disposer.settle(id, outcome).tells(outcome)
        for handle in handles:
            await handle.peek(id).tells(outcome)
            await handle.wait(id).tells(outcome)
        await disposer.dispose(id).ends()
        for handle in handles:
            await handle.peek(id).tells(PENDING)


# One after another ----------------------------------------------------------


@law(SURVIVES, "durable")
async def outcomes_survive_reopening(lab: Lab) -> None:
    """An outcome that was told is there, and the first, after reopening."""
    a = await lab.open()
    for outcome in (ONE, NO):
        id, other = lab.id(), lab.id()
        await a.settle(id, outcome).tells(outcome)
        a = await lab.reopen()
        await a.peek(id).tells(outcome)
        await a.wait(id).tells(outcome)
        await a.settle(id, TWO).tells(outcome)
        await a.peek(other).tells(PENDING)
        a = await lab.reopen()
        await a.settle(id, TWO).tells(outcome)
        await a.wait(id).tells(outcome)


@law(DISPOSE_DURABLE, "durable")
async def disposals_survive_reopening(lab: Lab) -> None:
    """A disposal, and what was settled after it, are there after reopening."""
    a = await lab.open()
    for outcome in (ONE, NO):
        at_once, later = lab.id(), lab.id()
        await a.settle(later, outcome).tells(outcome)
        await a.settle(at_once, outcome).tells(outcome)
        await a.dispose(at_once).ends()
        a = await lab.reopen()
        await a.peek(at_once).tells(PENDING)
        await a.settle(at_once, TWO).tells(TWO)
        await a.dispose(later).ends()
        a = await lab.reopen()
        await a.peek(at_once).tells(TWO)
        await a.peek(later).tells(PENDING)
        await a.settle(later, TWO).tells(TWO)
        a = await lab.reopen()
        await a.peek(later).tells(TWO)
        # Whatever counts generations goes on where it was.
        for stands in (outcome, TWO):
            await a.dispose(later).ends()
            a = await lab.reopen()
            await a.peek(later).tells(PENDING)
            await a.settle(later, stands).tells(stands)
            a = await lab.reopen()
            await a.peek(later).tells(stands)


@law(SURVIVES, "durable")
async def reopening_changes_nothing(lab: Lab) -> None:
    """Whatever values, messages and ids there are, reopening changes none."""
    a = await lab.open()
    outcomes: list[Outcome[bytes]] = [*map(Resolved, TEXTS), *map(Rejected, MESSAGES)]
    outcomes += [Resolved(encode(value)) for value in (*VALUES, *NUMBERS)]
    for size in (5000, 70_000, 300_000, MAX_VALUE_BYTES):
        text = f'"{"x" * (size - 2)}"'
        outcomes += [Resolved(text.encode()), Rejected(text[1:-1])]
    ids: dict[str, Outcome[bytes]] = {lab.id(tail): ONE for tail in _TAILS}
    ids |= {lab.id(head=head): NO for head in _TAILS}
    ids |= {lab.id(): outcome for outcome in outcomes}
    for id, outcome in ids.items():
        await a.settle(id, outcome).ends()
    before = {id: await a.peek(id).ends() for id in ids}
    a = await lab.reopen()
    for id, told in before.items():
        await a.peek(id).tells(told)


_TAILS: Final = ("\n", " ", "é", "e\u0301", "/..", "\U0001f600", "\r\n", '"', "'", "\\")


# Closing --------------------------------------------------------------------


@law(CLOSE, "shared")
async def closing_touches_no_promise(lab: Lab) -> None:
    """Closing one handle leaves promises and users of other handles alone."""
    a, b = await lab.pair()
    settled, waited = lab.id(), lab.id()
    await a.settle(settled, ONE).tells(ONE)
    waiting = b.wait(waited)
    await lab.rest(waiting)
    await a.aclose().ends()
    await b.peek(settled).tells(ONE)
    await b.peek(waited).tells(PENDING)
    await b.settle(waited, NO).tells(NO)
    await waiting.tells(NO)
    await b.peek(settled).tells(ONE)
    for step in lab.steps():
        closed = await lab.open()
        id = lab.id()
        early = closed.settle(id, ONE, hold_at=step)
        await lab.rest(early)
        closing = closed.aclose()
        await lab.rest(closing)
        early.release()
        await closing.ends()
        if not await early.over_within(lab.record.patience):
            await early.ends()
        # Whatever became of it, the others go on.
        await b.settle(id, TWO).ends()
        await b.peek(id).ends()
        if broken := refute(lab.record.calls_on(id)):
            raise broken
        if not early.is_held:
            break
    for step in lab.steps():
        interrupted = await lab.open()
        id = lab.id()
        await interrupted.settle(id, ONE).tells(ONE)
        closing = interrupted.aclose(cancel_at=step)
        await lab.all_over([closing], lab.record.patience)
        await b.peek(id).tells(ONE)
        await b.settle(lab.id(), TWO).tells(TWO)
        if not closing.reached:
            break


@law(TWICE)
async def closing_twice_is_no_error(lab: Lab) -> None:
    """A handle may be closed again, and while it is being closed."""
    unused, used = await lab.open(), await lab.open()
    await used.settle(lab.id(), ONE).tells(ONE)
    for handle in (unused, used):
        for call in (handle.aclose(), handle.aclose()):
            await call.ends()
        await handle.aclose().ends()


@law(CLOSED)
async def closed_handles_keep_nobody_waiting(lab: Lab) -> None:
    """On a closed handle every call ends, with a proper error or answer."""
    a, b = await lab.pair()
    settled, waited = lab.id(), lab.id()
    await a.settle(settled, ONE).tells(ONE)
    waiting = a.wait(waited)
    await lab.rest(waiting)
    await a.aclose().ends()
    calls = [a.peek(settled), a.wait(settled), a.settle(settled, TWO)]
    for call in calls:
        if not await _refused(lab, call):
            await call.tells(ONE)
    id = lab.id()
    for call in (a.peek(id), a.dispose(id)):
        await _refused(lab, call)
    acknowledged = not await _refused(lab, a.settle(id, TWO))
    if lab.run.shared:
        forgotten = not await _refused(lab, a.dispose(settled))
        await b.peek(settled).tells(PENDING, *([] if forgotten else [ONE]))
        await b.peek(id).tells(*([TWO] if acknowledged else [TWO, PENDING]))
        await b.settle(waited, NO).tells(NO)
        if not await _refused(lab, waiting):
            await waiting.tells(NO)


_ACCIDENTS: Final = (AttributeError, TypeError, NameError, LookupError, AssertionError)


async def _refused(lab: Lab, call: Call) -> bool:
    """Say whether *call* ended with an error, which must be a deliberate one."""
    if await call.over_within(lab.record.patience) and call.failed:
        error = call.answer
        if isinstance(error, DurablePromiseError):
            return True
        if isinstance(error, Exception) and not isinstance(error, _ACCIDENTS):
            return True
    await call.ends()
    return False
