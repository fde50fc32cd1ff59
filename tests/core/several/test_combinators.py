"""`gather`, `all_settled`, `race`, `as_settled`: several promises, of any stores."""

from __future__ import annotations

from pathlib import Path
from secrets import token_hex

import anyio
import pytest

import dp_core as dp
from dp_core.instrumentation import Finished, Started, observing
from support.core.five_methods import FiveMethods
from support.core.several import LIMIT, OneWatch, handle, is_left, later

# All of them ----------------------------------------------------------------


async def test_values_come_in_the_order_of_the_arguments(
    promises: dp.Promises, backend: FiveMethods
) -> None:
    """Whenever they were settled; of a promise that is named twice, twice."""
    a, b, c = map(promises.promise, "abc")
    await b.resolve([2])
    with anyio.fail_after(LIMIT):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(later, lambda: c.resolve(3), lambda: a.resolve(None))
            values = await dp.gather(a, b, a, c)
    assert [None, [2], None, 3] == values
    assert not is_left(backend)


async def test_of_none_there_are_no_values() -> None:
    """Nothing to wait for is all settled."""
    assert [] == await dp.gather()
    assert [] == await dp.all_settled()
    assert [] == [pair async for pair in dp.as_settled([])]


async def test_the_first_rejection_that_is_seen_is_raised(
    promises: dp.Promises, backend: FiveMethods
) -> None:
    """As it is, in no group; the others go on as they are."""
    a, b, c = map(promises.promise, "abc")
    with anyio.fail_after(LIMIT):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(later, lambda: c.resolve(3), lambda: b.reject("no"))
            with pytest.raises(dp.PromiseRejectedError, match="no") as caught:
                await dp.gather(a, b, c)
    assert "b" == caught.value.id
    assert not is_left(backend)
    assert dp.Resolved(1) == await a.resolve(1)


async def test_a_rejection_that_is_there_counts_in_the_order_of_the_arguments(
    promises: dp.Promises,
) -> None:
    """Not in that of time."""
    a, b, c = map(promises.promise, "abc")
    await c.reject("later in the order")
    await b.reject("first")
    with pytest.raises(dp.PromiseRejectedError, match="first"):
        await dp.gather(a, b, c)


async def test_outcomes_come_in_the_order_of_the_arguments(
    promises: dp.Promises,
) -> None:
    """Values and rejections alike."""
    a, b = map(promises.promise, "ab")
    await b.resolve(2)
    with anyio.fail_after(LIMIT):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(later, lambda: a.reject("no"))
            outcomes = await dp.all_settled(a, b, b)
    assert [dp.Rejected("no"), dp.Resolved(2), dp.Resolved(2)] == outcomes


# The first, and one after another ---------------------------------------------


async def test_the_first_to_settle_wins_a_race(
    promises: dp.Promises, backend: FiveMethods
) -> None:
    """A rejection, too; the losers are not touched."""
    a, b, c = map(promises.promise, "abc")
    with anyio.fail_after(LIMIT):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(later, lambda: b.reject("no"))
            winner, outcome = await dp.race(a, b, c)
    assert winner is b
    assert dp.Rejected("no") == outcome
    assert not is_left(backend)
    assert [dp.Pending(), dp.Pending()] == [await a.peek(), await c.peek()]


async def test_of_those_that_are_settled_the_first_argument_wins(
    promises: dp.Promises,
) -> None:
    """Whichever store it is in, and whenever it was settled."""
    other = handle(OneWatch())
    first, second = other.promise("x"), promises.promise("x")
    await second.resolve("here")
    await first.resolve("there")
    pending = [promises.promise("p"), other.promise("p")]
    assert (first, dp.Resolved("there")) == await dp.race(*pending, first, second)
    assert (second, dp.Resolved("here")) == await dp.race(*pending, second, first)


async def test_a_race_of_none_is_an_error() -> None:
    """It would last for ever."""
    with pytest.raises(ValueError, match="name one or more"):
        await dp.race()


@pytest.mark.parametrize("as_context", [False, True])
async def test_what_is_settled_comes_in_order_and_the_rest_as_it_settles(
    promises: dp.Promises, backend: FiveMethods, as_context: bool
) -> None:
    """Between two of them nothing waits, unless it is a context manager."""
    other = handle(FiveMethods())
    a, b, c, d = *map(promises.promise, "abc"), other.promise("d")
    for promise in (c, d, a):
        await promise.resolve(promise.id)
    told: list[tuple[str, object]] = []
    settled = dp.as_settled([b, d, c, a, c])

    async def take() -> None:
        async for promise, outcome in settled:
            told.append((promise.id, outcome))
            assert is_left(backend) <= as_context
            if "a" == promise.id:
                tasks.start_soon(later, lambda: b.reject("no"))

    with anyio.fail_after(LIMIT):
        async with anyio.create_task_group() as tasks:
            if as_context:
                async with settled:
                    await take()
            else:
                await take()
    rest = ("b", dp.Rejected("no"))
    assert [*((id, dp.Resolved(id)) for id in "dcac"), rest] == told
    assert not is_left(backend)


async def test_who_leaves_the_loop_leaves_nothing(
    promises: dp.Promises, backend: FiveMethods
) -> None:
    """What was told already is told to who goes on later."""
    a, b, c = map(promises.promise, "abc")
    await b.resolve(2)
    await c.resolve(3)
    settled = dp.as_settled([a, b, c])
    async for promise, _ in settled:
        assert b == promise
        break
    assert not is_left(backend)
    assert (c, dp.Resolved(3)) == await anext(settled)
    with anyio.move_on_after(0.05) as scope:
        await anext(settled)
    assert scope.cancelled_caught
    assert not is_left(backend)
    await a.resolve(1)
    assert [(a, dp.Resolved(1))] == [pair async for pair in settled]


# What it costs --------------------------------------------------------------


async def test_thousands_of_one_store_are_one_watch() -> None:
    """Not a task for each, however many there are."""
    backend = OneWatch()
    promises = handle(backend)
    many = [promises.promise(f"{n}") for n in range(2_000)]
    told: list[object] = []

    async def wait() -> None:
        told.extend(await dp.gather(*many))

    with anyio.fail_after(LIMIT):
        async with anyio.create_task_group() as tasks:
            before = anyio.get_current_task()
            tasks.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            assert len(anyio.get_running_tasks()) < 6
            assert before == anyio.get_current_task()
            for number, promise in enumerate(many):
                await promise.resolve(number)
    assert list(range(2_000)) == told
    assert 1 == len(backend.watches)


async def test_handles_of_two_types_share_a_watch(promises: dp.Promises) -> None:
    """Each gets the value as its type has it."""
    a, same = promises.promise("a", list[int]), promises.promise("a", tuple[int, ...])
    await a.resolve([1, 2])
    assert [[1, 2], (1, 2)] == await dp.gather(a, same)


async def test_processes_and_stores_of_all_kinds(tmp_path: Path) -> None:
    """A memory store, a directory, and a database, in one call."""
    pytest.importorskip("apsw")
    urls = (f"memory:{token_hex(4)}", f"file:{tmp_path}/d", f"sqlite:{tmp_path}/p.db")
    handles = [dp.connect(url) for url in urls]
    waiting = [handle.promise("x") for handle in handles]
    with anyio.fail_after(LIMIT):
        async with anyio.create_task_group() as tasks:
            for url, handle_ in zip(urls, handles, strict=True):
                tasks.start_soon(
                    later, lambda h=handle_, u=url: h.promise("x").resolve(u)
                )
            values = await dp.gather(*waiting)
    assert list(urls) == values
    for handle_ in handles:
        await handle_.aclose()


# Observers ------------------------------------------------------------------


class Noting:
    """An observer that notes what it is told."""

    def __init__(self) -> None:
        self.notes: list[tuple[str, str]] = []

    def started(self, event: Started) -> None:
        assert "get" == event.operation
        self.notes.append(("started", event.id))

    def finished(self, event: Finished) -> None:
        self.notes.append((event.result, event.id))


async def test_each_is_observed_as_a_get(promises: dp.Promises) -> None:
    """From the beginning to its outcome, or until another one is enough."""
    a, b, c = map(promises.promise, "abc")
    await b.reject("no")
    await c.resolve(3)
    seen = Noting()
    with observing(seen):
        await dp.race(a, b)
        assert [("started", "a"), ("started", "b")] == seen.notes[:2]
        assert [("rejected", "b"), ("cancelled", "a")] == seen.notes[2:]
        seen.notes.clear()
        await dp.all_settled(b, c)
        assert {("rejected", "b"), ("resolved", "c")} == set(seen.notes[2:])
        seen.notes.clear()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(later, lambda: promises.backend.dispose("d"))
            with pytest.raises(dp.PromiseDisposedError):
                await dp.gather(promises.promise("d"))
    assert [("started", "d"), ("PromiseDisposedError", "d")] == seen.notes
