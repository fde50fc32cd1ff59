"""Laws about terms: the first ones stand, whole, until the promise is disposed of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from dp_core._states import Outcome, Rejected, Resolved
from dp_core._terms import MAX_TAG_BYTES, MAX_TAGS, PromiseInfo, Terms
from dp_core.backend import now
from dp_core.testing.kit import (
    BYTES,
    CANCEL,
    DISPOSED,
    FIRST_TERMS,
    FORGETS_TERMS,
    INFO,
    PENDING,
    LawContext,
    StoreHandle,
    law,
)

__all__ = [
    "create_and_settle_commute",
    "create_is_atomic",
    "dispose_forgets_terms",
    "first_terms_stand",
    "info_is_complete",
    "racing_creators_agree",
    "terms_come_back",
    "terms_survive_reopening",
]

ONE: Final = Resolved(b"1")
NO: Final = Rejected("no")
FAR: Final = datetime(2999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)
PAST: Final = datetime(2001, 2, 3, 4, 5, 6, 789_000, tzinfo=UTC)

_RACERS: Final = 16
_SOME: Final[tuple[Terms[bytes], ...]] = (
    Terms(tags={"order": "17"}),
    Terms(FAR, NO, {"kind": "approval"}, b'{"amount":1200}'),
    Terms(FAR, ONE, data=b"[]"),
    Terms(),
)


async def _has_terms(
    context: LawContext, handle: StoreHandle, id: str, terms: Terms[bytes] | None
) -> PromiseInfo[bytes]:
    """
    Check the terms of a promise; return all that the handle says about it.

    Raises:
        LawBrokenError: It has others.
    """
    info = await handle.known(id)
    if info.terms != terms:
        raise context.broken(
            f"the terms of the promise are {info.terms!r}, and not {terms!r}", id
        )
    return info


@law(FIRST_TERMS, "terms")
async def first_terms_stand(context: LawContext) -> None:
    """A create after the first changes nothing and returns the first terms."""
    a, b = await context.pair()
    for number, first in enumerate(_SOME):
        id = context.id()
        await _has_terms(context, b, id, None)
        await a.create(id, first).gives(first)
        for handle, later in ((a, _SOME[number - 1]), (b, _SOME[number - 2])):
            await handle.create(id, later).gives(first)
            await _has_terms(context, handle, id, first)
        await b.create(id, first).gives(first)
        await b.peek(id).gives(PENDING)


@law(FIRST_TERMS, "terms")
async def racing_creators_agree(context: LawContext) -> None:
    """
    Of many concurrent creates one wins, and all return its terms.

    16 creates start at the same time, through one handle and then through two. Where
    the store says who was the first, it says so to one.
    """
    a, b = await context.pair()
    for creators in ((a,), (b, a)):
        id = context.id()
        offers: list[Terms[bytes]] = [Terms(tags={"n": str(n)}) for n in range(_RACERS)]
        calls = [
            creators[n % len(creators)].create(id, offer)
            for n, offer in enumerate(offers)
        ]
        won = await calls[0].gives(*offers)
        for call in calls:
            await call.gives(won)
        calls.append(a.create(id, offers[0]))
        await calls[-1].gives(won)
        firsts = [call.returned.is_first for call in calls]
        if None not in firsts and firsts.count(True) != 1:
            raise context.broken(f"{firsts.count(True)} of them were the first", id)


@law(FIRST_TERMS, "terms")
async def create_and_settle_commute(context: LawContext) -> None:
    """
    A promise that is settled gets its terms like one that is pending.

    Its outcome stays, and a deadline, however long ago, means nothing any more.
    """
    a, b = await context.pair()
    over: Terms[bytes] = Terms(PAST, Rejected("late"), data=b"0")
    for number, terms in enumerate((*_SOME, over, over)):
        outcome = (ONE, NO)[number % 2]
        id = context.id()
        await a.settle(id, outcome).gives(outcome)
        await b.create(id, terms).gives(terms)
        for handle in (a, b):
            await handle.peek(id).gives(outcome)
            info = await _has_terms(context, handle, id, terms)
            if info.expired:
                raise context.broken("it was settled, and not by its deadline", id)
        await b.settle(id, Resolved(b"2")).gives(outcome)


@law(CANCEL, "terms")
async def create_is_atomic(context: LawContext) -> None:
    """
    A create meets others, and settles, as if one came after the other.

    It is held at its k-th checkpoint, for every k, while another create and a settle
    run from start to end; and it is cancelled there.
    """
    a, b = await context.pair()
    one: Terms[bytes] = Terms(FAR, NO, {"n": "1"})
    other: Terms[bytes] = Terms(tags={"n": "2"})
    for step in context.steps():
        id = context.id()
        early = a.create(id, one, hold_at=step)
        await context.rest(early)
        late, settle = b.create(id, other), b.settle(id, ONE)
        await context.rest(late, settle)
        early.release()
        won = await early.gives(one, other)
        await late.gives(won)
        await settle.gives(ONE)
        await a.peek(id).gives(ONE)
        await b.create(id, other).gives(won)
        cancelled = context.id()
        cut = a.create(cancelled, one, cancel_at=step)
        await context.rest(cut)
        await cut.over_within(context.log.patience)
        await b.peek(cancelled).gives(PENDING)
        stands = await b.create(cancelled, other).gives(one, other)
        await a.create(cancelled, one).gives(stands)
        if not (early.is_held or cut.reached):
            break


@law(BYTES, "terms")
async def terms_come_back(context: LawContext) -> None:
    """Terms come back as they were given: every byte, tag and millisecond."""
    a, b = await context.pair()
    longest = "é" * (MAX_TAG_BYTES // 2)
    outcomes: tuple[Outcome[bytes], ...] = (
        Resolved(b"null"),
        Resolved('{"a":[1.0,"\u2028\U0001f600"]}'.encode()),
        Rejected(""),
        Rejected("null"),
        Rejected("\U0001f600\x00\r\n"),
    )
    for terms in (
        *(Terms(FAR, outcome) for outcome in outcomes),
        *(Terms(FAR + timedelta(milliseconds=-n)) for n in (0, 1, 499, 998)),
        Terms(tags={f"{n:0256}": longest for n in range(MAX_TAGS)}),
        Terms(tags={"a": "", "A": " ", " ": "\r\n\t", "'\"%*?": "\\", "é": "é"}),
        Terms(data=b"0"),
        Terms(data=b'""'),
        Terms(data=b'{"b":1.0,"a":[1e2,"/"]}'),
        Terms(data=b'"%b"' % (b"x" * 50_000)),
    ):
        id = context.id()
        await a.create(id, terms).gives(terms)
        await _has_terms(context, b, id, terms)


@law(FIRST_TERMS, "terms", "durable")
async def terms_survive_reopening(context: LawContext) -> None:
    """Terms are there after reopening, and still the first."""
    a = await context.open()
    made = [(context.id(), terms) for terms in _SOME]
    settled = context.id()
    for id, terms in made:
        await a.create(id, terms).gives(terms)
    await a.settle(settled, ONE).gives(ONE)
    await a.create(settled, _SOME[1]).gives(_SOME[1])
    b = await context.reopen()
    for id, terms in (*made, (settled, _SOME[1])):
        await _has_terms(context, b, id, terms)
        await b.create(id, Terms(tags={"n": "2"})).gives(terms)
    await b.peek(settled).gives(ONE)


@law(FORGETS_TERMS, "terms")
async def dispose_forgets_terms(context: LawContext) -> None:
    """A disposed promise has no terms, and its next generation gets others."""
    a, b = await context.pair()
    other: Terms[bytes] = Terms(tags={"n": "2"})
    over: Terms[bytes] = Terms(PAST, NO)
    for number, terms in enumerate((*_SOME, over, over)):
        id = context.id()
        await a.create(id, terms).gives(terms)
        if number % 2:
            await a.settle(id, ONE).ends()
        await b.dispose(id).ends()
        await _has_terms(context, a, id, None)
        await b.create(id, other).gives(other)
        await a.peek(id).gives(PENDING)
    id = context.id()
    waiting = a.wait(id)
    await context.rest(waiting)
    await b.create(id, other).gives(other)
    await b.dispose(id).ends()
    await waiting.gives(DISPOSED)


@law(INFO, "terms")
async def info_is_complete(context: LawContext) -> None:
    """
    All that was said about a promise is told, and nothing else.

    Its times are those of a clock, to a day: clocks differ.
    """
    a, b = await context.pair()
    day = timedelta(days=1)
    for handle, outcome in (
        (a, Resolved(b"1", by="alice")),
        (b, Rejected("no", by="é\U0001f600")),
        (a, ONE),
    ):
        id = context.id()
        if await handle.known(id) != PromiseInfo(id, PENDING):
            raise context.broken("nobody has said anything about it yet", id)
        await a.create(id, _SOME[0]).gives(_SOME[0])
        before = await handle.known(id)
        await a.settle(id, outcome).gives(outcome)
        await b.settle(id, Resolved(b"2", by="mallory")).gives(outcome)
        after = await handle.known(id)
        wanted = PromiseInfo(
            id,
            outcome,
            _SOME[0],
            before.created_at,
            after.settled_at,
            outcome.by,
            cursor=before.cursor,
        )
        if after != wanted:
            raise context.broken(f"it says {after!r}, and not {wanted!r}", id)
        if before.settled_at or before.settled_by or before.state != PENDING:
            raise context.broken(f"it says {before!r} before it is settled", id)
        for moment in (after.created_at, after.settled_at):
            if moment is None or not -day < moment - now() < day:
                raise context.broken(f"it happened now, and not at {moment}", id)
