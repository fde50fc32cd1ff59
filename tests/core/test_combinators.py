"""`gather`, `all_settled`, `race`, `as_settled`: several promises, of any stores."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Final

import anyio
import pytest
from anyio.lowlevel import checkpoint

import dp_core as dp
from dp_core.backend import Told, Watchable
from dp_core.instrumentation import Finished, Started, observing
from support.core.checkpoints import stepped
from support.core.five_methods import FiveMethods

LIMIT: Final = 30.0
TURNS: Final = 40
"""Turns of the event loop after which whoever has to wait does."""

STORES: Final = count()


class OneWatch(FiveMethods):
    """A backend that watches, and counts what is watched."""

    def __init__(self) -> None:
        super().__init__()
        self.watches: list[Collection[str]] = []
        self.open = 0

    @asynccontextmanager
    async def watch(self, ids: Collection[str]) -> AsyncIterator[AsyncIterator[Told]]:
        assert isinstance(self.inner, Watchable)
        self.watches.append(ids)
        self.open += 1
        try:
            async with self.inner.watch(ids) as watch:
                yield watch
        finally:
            self.open -= 1


@pytest.fixture(params=[FiveMethods, OneWatch])
def backend(request: pytest.FixtureRequest) -> FiveMethods:
    """A backend with a wait for each promise, and one that watches them together."""
    made: FiveMethods = request.param()
    return made


@pytest.fixture
def promises(backend: FiveMethods) -> dp.Promises:
    """A handle on it."""
    return handle(backend)


def handle(backend: FiveMethods) -> dp.Promises:
    """Return a handle on a store with a URL of its own."""
    return dp.Promises(backend, f"test:{next(STORES)}")


def is_left(backend: FiveMethods) -> bool:
    """Tell whether anything waits there."""
    return any(backend.waits.values()) or bool(getattr(backend, "open", 0))


async def later(*settles: Callable[[], Awaitable[object]]) -> None:
    """Do one thing after another, when all others wait."""
    for settle in settles:
        for _ in range(TURNS):
            await checkpoint()
        await settle()


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


# Errors ---------------------------------------------------------------------


@pytest.mark.parametrize("wait", [dp.gather, dp.all_settled, dp.race])
async def test_a_disposal_is_an_error_of_each(
    promises: dp.Promises, backend: FiveMethods, wait: Any
) -> None:
    """It names the promise."""
    a, b = map(promises.promise, "ab")
    with anyio.fail_after(LIMIT):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(later, b.dispose)
            with pytest.raises(dp.PromiseDisposedError) as caught:
                await wait(a, b)
    assert "b" == caught.value.id
    assert not is_left(backend)


async def test_an_iterator_goes_on_after_an_error_of_one_promise(
    backend: FiveMethods,
) -> None:
    """A disposal, or a value that is not of the handle's type."""
    promises = handle(backend)
    a, b, c = promises.promise("a", int), *map(promises.promise, "bc")
    await promises.promise("a").resolve("text")
    await c.resolve(3)
    settled = dp.as_settled([a, b, c])
    with pytest.raises(dp.ValueMismatchError, match="'a'"):
        await anext(settled)
    assert (c, dp.Resolved(3)) == await anext(settled)
    with anyio.fail_after(LIMIT):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(later, b.dispose)
            with pytest.raises(dp.PromiseDisposedError):
                await anext(settled)
    with pytest.raises(StopAsyncIteration):
        await anext(settled)


@pytest.mark.parametrize("wait", [dp.gather, dp.all_settled, dp.race])
async def test_a_store_that_fails_ends_the_call(wait: Any) -> None:
    """With its error as it is; nothing waits in the other store."""
    right, wrong = OneWatch(), FiveMethods()
    wrong.damaged = "x"
    with pytest.raises(dp.CorruptPromiseError, match="damaged"):
        await wait(handle(right).promise("a"), handle(wrong).promise("x"))
    assert not is_left(right)


async def test_closing_a_handle_ends_the_wait(
    promises: dp.Promises, backend: FiveMethods
) -> None:
    """As that of any other."""
    other = handle(OneWatch())
    with anyio.fail_after(LIMIT):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(later, promises.aclose)
            with pytest.raises(dp.BackendClosedError):
                await dp.gather(other.promise("a"), promises.promise("b"))


@pytest.mark.parametrize("wait", [dp.gather, dp.all_settled, dp.race])
async def test_what_is_not_a_promise_is_refused(wait: Any) -> None:
    """A list of promises, above all."""
    with pytest.raises(TypeError, match="takes durable promises, not"):
        await wait([dp.connect("memory:").promise("a")])
    with pytest.raises(TypeError, match="as_settled"):
        dp.as_settled(["id"])  # type: ignore[arg-type] # the point


# Cancellation ---------------------------------------------------------------


@dataclass
class Cancelling:
    """Cancels a scope at one of the moments before and after each checkpoint."""

    scope: anyio.CancelScope
    at: int
    moments: int = 0

    def moment(self) -> None:
        self.moments += 1
        if self.moments == self.at:
            self.scope.cancel()


@pytest.mark.parametrize("wait", ["gather", "all_settled", "race", "as_settled"])
async def test_whoever_is_cancelled_leaves_nothing(wait: str) -> None:
    """At each moment before and after each checkpoint."""
    backends = FiveMethods(), OneWatch()
    here, there = map(handle, backends)
    for at in count(1):
        a, b, c = here.promise("a"), there.promise("b"), here.promise("c")
        calls: dict[str, Callable[[], Any]] = {
            "gather": lambda: dp.gather(a, b, c),  # noqa: B023 - called at once
            "all_settled": lambda: dp.all_settled(a, b, c),  # noqa: B023
            "race": lambda: dp.race(a, b),  # noqa: B023
            "as_settled": lambda: _all(dp.as_settled([a, b, c])),  # noqa: B023
        }
        with anyio.fail_after(LIMIT):
            async with anyio.create_task_group() as tasks:
                with anyio.CancelScope() as scope:
                    cancelling = Cancelling(scope, at)
                    tasks.start_soon(
                        later,
                        lambda: c.resolve(3),  # noqa: B023
                        lambda: b.resolve(2),  # noqa: B023
                        lambda: a.resolve(1),  # noqa: B023
                    )
                    await stepped(calls[wait](), cancelling.moment)
                assert not any(map(is_left, backends))
        for promise in (a, b, c):
            await promise.dispose()
        if cancelling.moments < at:
            break
    assert at > 8


async def _all(settled: dp.AsSettled[Any]) -> None:
    async for _ in settled:
        await checkpoint()


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
    urls = (f"memory:{next(STORES)}", f"file:{tmp_path}/d", f"sqlite:{tmp_path}/p.db")
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
