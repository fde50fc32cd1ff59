"""A wait for several promises with a time limit, as that of one promise has it."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any, Final

import anyio
import pytest

import dp_core as dp
from dp_core import State
from dp_core.backend import Told
from dp_core.instrumentation import Finished, observing
from support.core.checkpoints import stepped
from support.core.five_methods import FiveMethods
from support.core.several import LIMIT, Cancelling, OneWatch, handle, is_left, later

SHORT: Final = 0.05


async def first(
    *promises: dp.DurablePromise[Any], timeout: float | None = None
) -> object:
    """Return what `as_settled` tells first."""
    return await anext(dp.as_settled(promises, timeout=timeout))


WAITS: Final = [dp.gather, dp.all_settled, dp.race, first]


class CountingPeeks(FiveMethods):
    """A backend that counts its peeks."""

    def __init__(self) -> None:
        super().__init__()
        self.peeks: Counter[str] = Counter()

    async def peek(self, id: str) -> State[bytes]:
        self.peeks[id] += 1
        return await super().peek(id)


class Silent(CountingPeeks):
    """A backend that watches, and tells nothing of what it sees."""

    @asynccontextmanager
    async def watch(self, ids: Collection[str]) -> AsyncIterator[AsyncIterator[Told]]:
        yield _nothing()


async def _nothing() -> AsyncIterator[Told]:
    await anyio.sleep_forever()
    yield "", dp.Rejected("")  # pragma: no cover - makes it an iterator


@pytest.mark.parametrize("seconds", [0, SHORT])
@pytest.mark.parametrize("wait", WAITS)
async def test_the_wait_ends_with_the_time(
    promises: dp.Promises, backend: FiveMethods, wait: Any, seconds: float
) -> None:
    """With the error of `get`, which names one that is pending; none is touched."""
    settled, a, b = map(promises.promise, "sab")
    await settled.resolve(1)
    beside = [] if wait in {dp.race, first} else [settled]
    with (
        anyio.fail_after(LIMIT),
        pytest.raises(dp.PromiseTimeoutError, match="'a' is still pending") as caught,
    ):
        await wait(*beside, a, b, timeout=seconds)
    assert seconds == caught.value.seconds
    assert not is_left(backend)
    assert dp.Pending() == await a.peek()


async def test_whoever_is_in_time_gets_all_as_without_a_limit(
    promises: dp.Promises, backend: FiveMethods
) -> None:
    """In the same order; nothing is left."""
    a, b = map(promises.promise, "ab")
    with anyio.fail_after(LIMIT):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(later, lambda: b.resolve(2), lambda: a.resolve(1))
            assert [1, 2] == await dp.gather(a, b, timeout=LIMIT)
    assert (a, dp.Resolved(1)) == await dp.race(a, b, timeout=LIMIT)
    both = [dp.Resolved(1), dp.Resolved(2)]
    assert both == await dp.all_settled(a, b, timeout=float("inf"))
    assert not is_left(backend)


async def test_with_0_each_is_looked_at_once() -> None:
    """What is settled counts, in the order of the arguments; nobody waits."""
    counting, watching = CountingPeeks(), OneWatch()
    here, there = handle(counting), handle(watching)
    a, b, c, d = *map(here.promise, "abc"), there.promise("d")
    await b.resolve(2)
    await d.reject("no")
    with pytest.raises(dp.PromiseTimeoutError, match="'a'"):
        await dp.all_settled(d, a, b, c, a, timeout=0)
    assert {"a": 1, "b": 1, "c": 1} == counting.peeks
    with pytest.raises(dp.PromiseRejectedError, match="no"):
        await dp.gather(a, d, timeout=0)
    assert (d, dp.Rejected("no")) == await dp.race(a, d, b, timeout=0)
    assert [dp.Resolved(2), dp.Rejected("no")] == await dp.all_settled(b, d, timeout=0)
    # Later ids are looked at faster.
    slow, fast = map(here.promise, ("e", "eeeeee"))
    await fast.resolve(6)
    await slow.resolve(1)
    assert (slow, dp.Resolved(1)) == await dp.race(a, slow, fast, timeout=0)
    assert not watching.watches
    assert not counting.waits


class PerhapsAway(Silent):
    """A backend whose store may be away, also for some of its promises only."""

    lost: Final = frozenset({"a", "b"})

    async def peek(self, id: str) -> State[bytes]:
        state = await super().peek(id)
        if id in self.lost:
            raise dp.BackendUnavailableError(f"{id} is on a bad sector")
        return state

    async def wait_for(self, id: str, seconds: float) -> State[bytes]:
        return await self.peek(id)


@pytest.mark.parametrize("seconds", [0, SHORT])
async def test_what_can_be_read_is_told_beside_what_cannot(seconds: float) -> None:
    """A bad sector under one promise is no store that is away."""
    promises = handle(PerhapsAway())
    ids = [*"abcde"]
    await promises.promise("e").resolve(5)
    settled = dp.as_settled(map(promises.promise, ids), timeout=seconds)
    with anyio.fail_after(LIMIT):
        assert "e" == (await anext(settled))[0].id
        with pytest.raises(dp.BackendUnavailableError, match="is on a bad sector"):
            await anext(settled)


async def test_a_store_that_may_be_away_is_asked_for_a_few_first() -> None:
    """The others can be no better known, and each look at one takes its time."""
    away = PerhapsAway()
    away.is_away = True
    promises = handle(away)
    with pytest.raises(dp.BackendUnavailableError):
        await dp.race(*map(promises.promise, "abcde"), timeout=0)
    assert {"a": 1, "b": 1, "c": 1} == away.peeks


@pytest.mark.parametrize("wait", WAITS)
async def test_what_nobody_has_reported_is_seen_by_the_last_look(wait: Any) -> None:
    """A store whose reports are lost has no promise that is called pending wrongly."""
    promises = handle(Silent())
    a, b = map(promises.promise, "ab")
    await b.resolve(2)
    with anyio.fail_after(LIMIT):
        await wait(b, timeout=SHORT)
        with pytest.raises(dp.PromiseTimeoutError, match="'a'"):
            await dp.gather(b, a, timeout=SHORT)
    assert {"b": 2, "a": 1} == promises.backend.peeks  # type: ignore[attr-defined] # it is `Silent`


@pytest.mark.parametrize("seconds", [0, SHORT])
@pytest.mark.parametrize("wait", WAITS)
async def test_a_store_that_is_away_has_not_said_that_they_are_pending(
    wait: Any, seconds: float
) -> None:
    """It is an error of the store, unless what is known of others is enough."""
    away, here = Silent(), OneWatch()
    away.is_away = True
    lost, other = map(handle(away).promise, "ab")
    with anyio.fail_after(LIMIT), pytest.raises(dp.BackendUnavailableError):
        await wait(lost, other, handle(here).promise("c"), timeout=seconds)
    assert {"a": 1, "b": 1} == away.peeks
    settled = handle(here).promise("s")
    await settled.reject("no")
    assert (settled, dp.Rejected("no")) == await dp.race(lost, settled, timeout=seconds)
    assert not is_left(here)


@pytest.mark.parametrize("wait", WAITS)
@pytest.mark.parametrize("timeout", [-1, "5", True, float("nan")])
async def test_what_is_no_time_is_refused(
    promises: dp.Promises, wait: Any, timeout: Any
) -> None:
    """As by `get`; also where there is nothing to wait for."""
    a = promises.promise("a")
    await a.resolve(1)
    with pytest.raises(dp.InvalidTimeoutError):
        await wait(a, timeout=timeout)
    with pytest.raises(dp.InvalidTimeoutError):
        await dp.gather(timeout=timeout)
    assert [] == await dp.gather(timeout=0)


@pytest.mark.parametrize("as_context", [False, True])
async def test_an_iterator_has_one_time_for_all(
    promises: dp.Promises, backend: FiveMethods, as_context: bool
) -> None:
    """From when it is first asked; afterwards it tells what is settled by then."""
    a, b, c = map(promises.promise, "abc")
    await b.resolve(2)
    settled = dp.as_settled([a, b, c], timeout=SHORT)

    async def ask() -> None:
        assert (b, dp.Resolved(2)) == await anext(settled)
        for _ in range(2):
            with pytest.raises(dp.PromiseTimeoutError, match="'a'"):
                await anext(settled)
        await c.resolve(3)
        assert (c, dp.Resolved(3)) == await anext(settled)
        with pytest.raises(dp.PromiseTimeoutError, match="'a'"):
            await anext(settled)
        await a.resolve(1)
        assert (a, dp.Resolved(1)) == await anext(settled)
        with pytest.raises(StopAsyncIteration):
            await anext(settled)

    with anyio.fail_after(LIMIT):
        if as_context:
            async with settled:
                await ask()
        else:
            await ask()
    assert not is_left(backend)


async def test_after_the_time_an_iterator_only_looks() -> None:
    """At those that are left; a store that is back is believed again."""
    watching, silent = OneWatch(), Silent()
    a, b, c = (*map(handle(silent).promise, "ab"), handle(watching).promise("c"))
    with anyio.fail_after(LIMIT):
        settled = dp.as_settled([c], timeout=SHORT)
        for _ in range(3):
            with pytest.raises(dp.PromiseTimeoutError):
                await anext(settled)
        assert 1 == len(watching.watches)
        await b.resolve(2)
        async with dp.as_settled([a, b], timeout=SHORT) as both:
            assert (b, dp.Resolved(2)) == await anext(both)
            for is_away in (False, True, False):
                silent.is_away = is_away
                error = (
                    dp.BackendUnavailableError if is_away else dp.PromiseTimeoutError
                )
                with pytest.raises(error):
                    await anext(both)
    # What was told is not looked at again, and the first error is of the first look.
    assert {"a": 3, "b": 1} == silent.peeks


@pytest.mark.parametrize("kind", ["memory", "file", "sqlite"])
async def test_limits_are_alike_on_every_store(kind: str, tmp_path: Path) -> None:
    """Before and after some are settled."""
    async with dp.connect(f"{kind}:{tmp_path}/store") as promises:
        a, b = map(promises.promise, "ab")
        await b.resolve(2)
        for seconds in (0, SHORT):
            with pytest.raises(dp.PromiseTimeoutError, match="'a'"):
                await dp.gather(a, b, timeout=seconds)
            assert (b, dp.Resolved(2)) == await dp.race(a, b, timeout=seconds)
        await a.resolve(1)
        for seconds in (0, SHORT):
            assert [1, 2] == await dp.gather(a, b, timeout=seconds)


async def test_observers_hear_that_the_time_was_over(promises: dp.Promises) -> None:
    """Of those that are pending then; not that somebody has cancelled them."""
    heard: dict[str, list[str]] = {"a": [], "b": [], "c": []}

    class Noting:
        def started(self, event: object) -> None: ...

        def finished(self, event: Finished) -> None:
            heard[event.id].append(event.result)

    a, b, c = map(promises.promise, "abc")
    await b.resolve(2)
    with observing(Noting()):
        for seconds in (0, SHORT):
            with pytest.raises(dp.PromiseTimeoutError):
                await dp.all_settled(a, b, c, timeout=seconds)
    late = ["PromiseTimeoutError"] * 2
    assert {"a": late, "b": ["resolved"] * 2, "c": late} == heard


@pytest.mark.parametrize("seconds", [0, SHORT])
async def test_whoever_is_cancelled_while_the_time_ends_leaves_nothing(
    seconds: float,
) -> None:
    """At each moment before and after each checkpoint, also of the last look."""
    backends = FiveMethods(), OneWatch()
    here, there = map(handle, backends)
    a, b = here.promise("a"), there.promise("b")
    await a.resolve(1)
    for at in count(1):
        with anyio.fail_after(LIMIT), anyio.CancelScope() as scope:
            cancelling = Cancelling(scope, at)
            with suppress(dp.PromiseTimeoutError):
                await stepped(dp.gather(a, b, timeout=seconds), cancelling.moment)
        assert not any(map(is_left, backends))
        if cancelling.moments < at:
            break
    assert at > 4
