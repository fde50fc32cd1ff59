"""`Promises.create`, `list` and `prune`, and `info` of a promise, over memory."""

from __future__ import annotations

import gc
import re
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import anyio
import pytest

import dp_core as dp
from dp_backends.memory import MemoryBackend
from dp_core.backend import Page

STORES = count()
LONG = timedelta(days=3)
SOON = timedelta(milliseconds=50)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
async def promises() -> AsyncIterator[dp.Promises]:
    """Return a handle on an empty store."""
    async with dp.connect(f"memory:create-{next(STORES)}") as promises:
        yield promises


async def listed(promises: dp.Promises, **query: Any) -> list[str]:
    """Return the ids that a listing has."""
    return [info.id async for info in promises.list(**query)]


class OutcomesOnly(dp.Backend):
    """A backend without a registry, as third parties have them."""

    def __init__(self) -> None:
        self._backend = MemoryBackend(f"memory:create-{next(STORES)}")
        self.peek = self._backend.peek  # type: ignore[method-assign] # as it is
        self.settle = self._backend.settle  # type: ignore[method-assign] # as it is

    async def peek(self, id: str) -> dp.State[bytes]: ...
    async def settle(self, id: str, outcome: dp.Outcome[bytes]) -> Any: ...
    async def wait(self, id: str) -> Any: ...
    async def dispose(self, id: str) -> None: ...
    async def aclose(self) -> None: ...


# Create -----------------------------------------------------------------------


async def test_terms_stand_for_everybody(promises: dp.Promises) -> None:
    """Whoever asks is told what the promise was created with."""
    made = await promises.create(
        "a",
        deadline=LONG,
        otherwise=dp.Resolved({"fallback": True}),
        tags={"kind": "approval"},
        data={"amount": 1200},
    )
    info = await promises.promise("a").info()

    assert made.terms == info.terms
    assert info.terms is not None
    assert info.created_at is not None
    assert info.terms.deadline is not None
    assert abs(info.created_at + LONG - info.terms.deadline) < timedelta(milliseconds=1)
    assert dp.Resolved({"fallback": True}) == info.terms.otherwise
    assert ({"kind": "approval"}, {"amount": 1200}) == (
        info.terms.tags,
        info.terms.data,
    )
    assert (dp.Pending(), None, None, False) == (
        info.state,
        info.settled_at,
        info.settled_by,
        info.expired,
    )


async def test_the_first_terms_stand(promises: dp.Promises) -> None:
    """Later ones change nothing, and are told what stands."""
    first = await promises.create("a", tags={"by": "first"})
    second = await promises.create("a", tags={"by": "second"}, deadline=LONG_AGO)

    assert {"by": "first"} == second.terms.tags  # type: ignore[union-attr] # created
    assert first.terms == second.terms
    assert dp.Pending() == await second.peek()


async def test_create_and_settle_commute(promises: dp.Promises) -> None:
    """A callback may be faster than the creator; then the deadline means nothing."""
    await promises.promise("a").resolve("fast", by="webhook")
    made = await promises.create("a", deadline=LONG_AGO, tags={"k": "v"})
    info = await made.info()

    assert dp.Resolved("fast") == info.state
    assert ("webhook", False, {"k": "v"}) == (
        info.settled_by,
        info.expired,
        info.terms.tags,  # type: ignore[union-attr] # created
    )


async def test_dispose_forgets_terms(promises: dp.Promises) -> None:
    """The next generation has none, and may get others."""
    made = await promises.create("a", deadline=LONG)
    await made.dispose()

    assert (await made.info()).terms is None
    assert [] == await listed(promises)
    again = await promises.create("a", tags={"second": ""})
    assert {"second": ""} == again.terms.tags  # type: ignore[union-attr] # created


async def test_an_id_is_made_where_none_is_given(promises: dp.Promises) -> None:
    """128 random bits that any URL, shell and file name can hold."""
    ids = {(await promises.create()).id for _ in range(3)}

    assert 3 == len(ids)
    assert all(re.fullmatch("[0-9a-f]{32}", id) for id in ids)


async def test_an_empty_id_is_not_none(promises: dp.Promises) -> None:
    """It is refused, as everywhere; a new one would hide a mistake."""
    with pytest.raises(dp.InvalidPromiseIdError, match="it is empty"):
        await promises.create("")


@pytest.mark.parametrize(
    ("terms", "error"),
    [
        ({"tags": {"dp.kind": "x"}}, dp.InvalidTermsError),
        ({"deadline": timedelta.max}, dp.InvalidTermsError),
        ({"deadline": 5}, dp.InvalidTermsError),
        ({"otherwise": dp.Rejected("x")}, dp.InvalidTermsError),
        ({"data": object()}, dp.InvalidValueError),
        ({"data": "x" * 2_000_000}, dp.InvalidValueError),
        ({"deadline": LONG, "otherwise": dp.Rejected("\ud800")}, dp.InvalidValueError),
    ],
)
async def test_what_is_refused_leaves_nothing(
    terms: dict[str, Any], error: type[Exception], promises: dp.Promises
) -> None:
    """Nothing is created by it."""
    with pytest.raises(error):
        await promises.create("a", **terms)

    assert [] == await listed(promises)


async def test_what_happens_otherwise_is_of_the_type(promises: dp.Promises) -> None:
    """A typed handle refuses an outcome that it could not read."""
    with pytest.raises(dp.ValueMismatchError):
        await promises.create("a", int, deadline=LONG, otherwise=dp.Resolved("x"))  # type: ignore[arg-type] # refused


# Deadlines --------------------------------------------------------------------


async def test_a_deadline_settles_whoever_asks(promises: dp.Promises) -> None:
    """A promise whose deadline is over is shown settled, and a late settle loses."""
    over = await promises.create("a", deadline=LONG_AGO, otherwise=dp.Rejected("late"))

    assert dp.Rejected("late") == await over.resolve("too late", by="alice")
    info = await over.info()
    assert (dp.Rejected("late"), None, True) == (
        info.state,
        info.settled_by,
        info.expired,
    )
    assert ["a"] == await listed(promises, state="rejected")


async def test_waiters_are_told_though_nobody_acts(promises: dp.Promises) -> None:
    """Those who came before the deadline was set, too."""
    told: list[object] = []

    async def wait() -> None:
        with pytest.raises(dp.PromiseRejectedError, match="nobody came"):
            await promises.promise("a").get()
        told.append("rejected")

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            tasks.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            await promises.create(
                "a", deadline=SOON, otherwise=dp.Rejected("nobody came")
            )

    assert ["rejected"] * 2 == told


async def test_a_nearer_deadline_is_not_missed(promises: dp.Promises) -> None:
    """Who sleeps until a far one is woken up for it."""
    await promises.create("far", deadline=LONG)
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(promises.promise("other").get)
            await anyio.wait_all_tasks_blocked()
            near = await promises.create("near", deadline=SOON)
            with pytest.raises(dp.PromiseRejectedError, match="deadline passed"):
                await near.get()
            tasks.cancel_scope.cancel()


# Finding ----------------------------------------------------------------------


async def test_promises_come_in_the_order_of_their_first_word(
    promises: dp.Promises,
) -> None:
    """Settling later changes no place; what was only named has none."""
    await promises.create("b")
    await promises.promise("c").resolve(1)
    await promises.create("a")
    await promises.promise("b").resolve(2)
    await promises.promise("named").peek()

    assert ["b", "c", "a"] == await listed(promises)
    assert ["a", "c", "b"] == await listed(promises, newest=True)
    assert ["a"] == await listed(promises, state="pending")


async def test_a_cursor_goes_on_where_it_was(promises: dp.Promises) -> None:
    """Also after the promise that it was of is gone."""
    for id in "abcd":
        await promises.create(id)
    cursor = [info.cursor async for info in promises.list()][1]
    await promises.promise("b").dispose()

    assert ["c", "d"] == await listed(promises, after=cursor)
    assert ["a"] == await listed(promises, after=cursor, newest=True)
    with pytest.raises(dp.InvalidQueryError, match="not a cursor"):
        await listed(promises, after="x")


async def test_many_pages_are_one_listing(promises: dp.Promises) -> None:
    """What is there the whole time is told once, whatever happens meanwhile."""
    ids = [f"p{n}" for n in range(2_500)]
    for id in ids:
        await promises.promise(id).resolve(1)
    found: list[str] = []
    async for info in promises.list():
        found.append(info.id)
        if len(found) == 500:
            await promises.promise("p700").dispose()
            await promises.promise("p100").dispose()
            await promises.promise("p100").resolve(2)
            await promises.create("new")

    stayed = [id for id in ids if id != "p100"]
    assert ids == [*dict.fromkeys(found)][: len(ids)]
    assert ["p100", "new"] == found[len(ids) :]
    assert set(stayed) <= set(found)


async def test_old_promises_are_pruned(promises: dp.Promises) -> None:
    """What is settled and old, and has the tags; nothing that is pending."""
    await promises.create("pending", tags={"k": "v"})
    for id, tags in {"one": {"k": "v"}, "two": {}}.items():
        await (await promises.create(id, tags=tags)).resolve(1)

    assert 0 == await promises.prune(settled_before=timedelta(days=90))
    assert 1 == await promises.prune(settled_before=timedelta(), tags={"k": "v"})
    assert ["pending", "two"] == await listed(promises)
    assert 0 == await promises.prune(settled_before=timedelta.max)
    assert 1 == await promises.prune(settled_before=datetime.now(UTC))
    for wrong in (5, "90d", datetime(2020, 1, 1)):  # noqa: DTZ001 - that is it
        with pytest.raises(dp.InvalidQueryError, match="not a valid age"):
            await promises.prune(settled_before=wrong)  # type: ignore[arg-type] # refused


async def test_what_was_made_anew_is_not_pruned() -> None:
    """A page grows old while its first promises are disposed of."""

    class Meanwhile(MemoryBackend):
        async def dispose(self, id: str) -> None:
            await super().dispose(id)
            if id == "first":
                await super().dispose("second")
                await super().create("second", dp.Terms())

    url = f"memory:create-{next(STORES)}"
    promises = dp.Promises(Meanwhile(url), url)
    for id in ("first", "second"):
        await promises.promise(id).resolve(1)

    assert 1 == await promises.prune(settled_before=timedelta())
    assert dp.Terms() == (await promises.promise("second").info()).terms


async def test_what_is_damaged_meanwhile_does_not_end_a_prune() -> None:
    """The others are disposed of first; the error names one, and counts the others."""

    class Damaged(MemoryBackend):
        async def list(self, query: dp.Query, after: str | None, limit: int) -> Page:
            page = await super().list(query, after, limit)
            failures = (("torn", dp.CorruptPromiseError("it is cut")),)
            return Page(page.infos, page.after, failures)

        async def info(self, id: str) -> dp.PromiseInfo[bytes]:
            if id == "cut":
                raise dp.CorruptPromiseError("it is cut")
            return await super().info(id)

    url = f"memory:create-{next(STORES)}"
    promises = dp.Promises(Damaged(url), url)
    for id in ("cut", "whole"):
        await promises.promise(id).resolve(1)

    what = "'torn' cannot be read, nor can 1 other: it is cut"
    with pytest.raises(dp.CorruptPromiseError, match=what):
        await promises.prune(settled_before=timedelta())
    assert dp.Pending() == await promises.promise("whole").peek()
    assert dp.Resolved(1) == await promises.promise("cut").peek()


@pytest.mark.slow
@pytest.mark.filterwarnings("error")
async def test_a_listing_may_be_left_in_the_middle(promises: dp.Promises) -> None:
    """Nothing stays that would have to be ended, of which trio would warn."""
    for id in "abc":
        await promises.promise(id).resolve(1)
    async for info in promises.list():
        assert "a" == info.id
        break
    gc.collect()
    listing = promises.list()
    assert "a" == (await anext(listing)).id
    del listing
    async with aclosing(promises.list()) as closed:
        assert "a" == (await anext(closed)).id
    with pytest.raises(StopAsyncIteration):
        await anext(closed)
    gc.collect()


async def test_a_listing_that_does_not_go_on_ends() -> None:
    """A store that returns one cursor for ever is at fault, and does not hold us."""

    class Endless(MemoryBackend):
        async def list(self, query: dp.Query, after: str | None, limit: int) -> Page:
            return Page((), "17")

    promises = dp.Promises(Endless("memory:endless"), "memory:endless")
    with pytest.raises(dp.BackendError, match="does not go on after '17'"):
        await listed(promises)


@pytest.mark.parametrize("after", [5, b"1", "\ud800"])
async def test_a_cursor_is_a_text(after: Any, promises: dp.Promises) -> None:
    """What can be no cursor is refused before any store is asked."""
    with pytest.raises(dp.InvalidQueryError, match="not the cursor of a promise"):
        await listed(promises, after=after)


# Stores without ---------------------------------------------------------------


async def test_a_store_of_outcomes_says_so() -> None:
    """Whatever needs terms is refused in words; the rest works."""
    promises = dp.Promises(OutcomesOnly(), "outcomes:")
    await promises.promise("a").resolve(1, by="alice")

    assert dp.Resolved(1) == await promises.promise("a").peek()
    for call in (
        promises.create("a"),
        promises.promise("a").info(),
        listed(promises),
        promises.prune(settled_before=timedelta()),
    ):
        with pytest.raises(dp.NotSupportedError, match="keeps outcomes only"):
            await call


@pytest.mark.parametrize("by", ["", "x" * 257, 5, "\ud800", "a\0b"])
async def test_who_settles_has_a_name(by: Any, promises: dp.Promises) -> None:
    """What cannot name anybody settles nothing."""
    with pytest.raises(dp.InvalidTermsError, match="name of a settler"):
        await promises.promise("a").resolve(1, by=by)
    with pytest.raises(dp.InvalidTermsError, match="name of a settler"):
        await promises.promise("a").reject("no", by=by)

    assert dp.Pending() == await promises.promise("a").peek()
