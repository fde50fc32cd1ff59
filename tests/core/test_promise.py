"""Promises as their users see them, on the backends of this process."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest

import dp_core as dp


@pytest.fixture(params=["memory", "file"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Name a store of its own for each test."""
    return f"{request.param}:{tmp_path}"


@pytest.fixture
async def promises(url: str) -> AsyncIterator[dp.Promises]:
    """Open that store."""
    async with dp.connect(url) as promises:
        yield promises


async def test_the_life_of_a_promise(promises: dp.Promises) -> None:
    """Pending, then resolved once and for all."""
    promise = promises.promise("my-durable-promise-id")

    assert dp.Pending() == await promise.peek()
    assert dp.Resolved("first") == await promise.resolve("first")
    assert dp.Resolved("first") == await promise.resolve("second")
    assert dp.Resolved("first") == await promise.reject("Oh dear, rejected")
    assert dp.Resolved("first") == await promise.peek()
    assert "first" == await promise.get()
    assert "first" == await promise


async def test_the_life_of_a_rejected_promise(promises: dp.Promises) -> None:
    """A rejection that worked looks like one; only asking for the value raises."""
    promise = promises.promise("x")

    assert dp.Rejected("no") == await promise.reject("no")
    assert dp.Rejected("no") == await promise.resolve(1)
    assert dp.Rejected("no") == await promise.peek()
    with pytest.raises(dp.PromiseRejectedError) as caught:
        await promise.get()

    assert ("no", "x") == (caught.value.error, caught.value.id)


@pytest.mark.parametrize("value", [None, False, 0, "", [], {}, 0.0], ids=repr)
async def test_empty_values_are_values(promises: dp.Promises, value: Any) -> None:
    """Pending is never confused with a value that looks like nothing."""
    promise = promises.promise("x")

    assert dp.Resolved(value) == await promise.resolve(value)
    assert dp.Resolved(value) == await promise.peek()
    assert repr(value) == repr(await promise.get())


async def test_resolve_without_a_value_means_none(promises: dp.Promises) -> None:
    """A promise can be a mere signal."""
    assert dp.Resolved(None) == await promises.promise("x").resolve()


async def test_an_empty_message_is_a_rejection(promises: dp.Promises) -> None:
    """The message may be empty; the promise is rejected all the same."""
    promise = promises.promise("x")

    assert dp.Rejected("") == await promise.reject("")
    with pytest.raises(dp.PromiseRejectedError):
        await promise.get()


async def test_the_winner_reads_what_everyone_reads(promises: dp.Promises) -> None:
    """A tuple comes back as the list that others will see, also to the winner."""
    won = await promises.promise("x").resolve({"pair": (1, 2)})

    assert dp.Resolved({"pair": [1, 2]}) == won
    assert won == await promises.promise("x").peek()


async def test_nobody_can_change_a_value_through_an_object(
    promises: dp.Promises,
) -> None:
    """What was settled and what was returned are copies."""
    promise = promises.promise("x")
    mine = [1]
    won = await promise.resolve(mine)
    mine.append(2)
    won.unwrap().append(3)
    (await promise.get()).append(4)

    assert [1] == await promise.get()


@dataclass
class Invoice:
    number: str
    total: float


async def test_a_typed_promise_returns_its_type(promises: dp.Promises) -> None:
    """Everyone who names the type gets it; who does not, gets plain JSON."""
    promise = promises.promise("x", Invoice)

    assert dp.Resolved(Invoice("a", 1.5)) == await promise.resolve(Invoice("a", 1.5))
    assert Invoice("a", 1.5) == await promise.get()
    assert {"number": "a", "total": 1.5} == await promises.promise("x").get()


async def test_a_value_of_the_wrong_type_settles_nothing(promises: dp.Promises) -> None:
    """A promise is not spoilt for its readers by a slip of its completer."""
    promise: dp.DurablePromise[Any] = promises.promise("x", Invoice)

    with pytest.raises(dp.ValueMismatchError, match=r"total") as caught:
        await promise.resolve({"number": "a"})
    assert caught.value.id is None
    with pytest.raises(dp.InvalidValueError, match=r"\$.total"):
        await promise.resolve(Invoice("a", math.nan))
    assert dp.Pending() == await promise.peek()


async def test_a_value_that_does_not_fit_the_readers_type(
    promises: dp.Promises,
) -> None:
    """Peek, get and even a losing resolve say what did not fit."""
    await promises.promise("x").resolve("text")
    promise = promises.promise("x", Invoice)

    for asking in (promise.peek, promise.get, lambda: promise.resolve(Invoice("", 0))):
        with pytest.raises(dp.ValueMismatchError, match="Invoice") as caught:
            await asking()
        assert "x" == caught.value.id
        assert "promise 'x' holds a value that is not a valid" in str(caught.value)


async def test_get_with_a_timeout(promises: dp.Promises) -> None:
    """A pending promise times out with our error, and is untouched."""
    promise = promises.promise("x")

    with pytest.raises(dp.PromiseTimeoutError) as caught:
        await promise.get(timeout=0.01)

    assert isinstance(caught.value, TimeoutError)
    assert ("x", 0.01) == (caught.value.id, caught.value.seconds)
    assert dp.Pending() == await promise.peek()
    with pytest.raises(dp.PromiseTimeoutError):
        await promise.get(timeout=0)
    await promise.resolve(1)
    assert 1 == await promise.get(timeout=60)
    assert 1 == await promise.get(timeout=0)


async def test_the_callers_own_deadline_is_not_ours(promises: dp.Promises) -> None:
    """A cancel scope of the caller ends the wait silently, as anyio promises."""
    with anyio.move_on_after(0.01) as scope:
        await promises.promise("x").get(timeout=60)

    assert scope.cancelled_caught


async def test_disposal_wakes_the_waiters_and_starts_afresh(
    promises: dp.Promises,
) -> None:
    """Waiters get an error; the id is pending, and can be settled anew."""
    promise = promises.promise("x")
    told: list[str] = []

    async def wait() -> None:
        with pytest.raises(dp.PromiseDisposedError) as caught:
            await promise.get()
        told.append(caught.value.id)

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(wait)
        # Nobody can see when a waiter has begun to wait, so that the first
        # disposal may come before it.
        while len(told) < 3:
            await promise.dispose()

    assert ["x"] * 3 == told
    assert dp.Pending() == await promise.peek()
    assert dp.Resolved(2) == await promise.resolve(2)
    await promise.dispose()
    assert dp.Rejected("new") == await promise.reject("new")


@pytest.mark.parametrize("operation", ["peek", "get", "resolve", "dispose"])
async def test_a_closed_handle_says_so(promises: dp.Promises, operation: str) -> None:
    """Closing is final, may be repeated, and touches no promise."""
    promise = promises.promise("x")
    await promises.aclose()
    await promises.aclose()

    with pytest.raises(dp.BackendClosedError, match="connect"):
        await getattr(promise, operation)()


async def test_handles_of_one_url_share_the_promises(url: str) -> None:
    """Also after the handle that settled was closed."""
    async with dp.connect(url) as one, dp.connect(url) as two:
        await one.promise("x").resolve(1)
        assert 1 == await two.promise("x").get()
    async with dp.connect(url) as three:
        assert 1 == await three.promise("x").get()


async def test_the_short_way(url: str) -> None:
    """`durable_promise` needs no handle; promises of one store share one."""
    promise = dp.durable_promise("x", url)

    assert dp.Resolved(1) == await promise.resolve(1)
    assert 1 == await dp.durable_promise("x", url, type=int).get()


async def test_the_default_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``DP_URL``, else a directory called promises right here."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DP_URL", raising=False)
    async with dp.connect() as promises:
        await promises.promise("x").resolve(1)

    assert (tmp_path / "promises" / "FORMAT").exists()
    monkeypatch.setenv("DP_URL", "memory:other")
    assert "memory:other" == dp.connect().url


@pytest.mark.parametrize("id", ["", "a\0b", "x" * 1025])
def test_a_bad_id_is_refused_before_any_io(id: str) -> None:
    """Naming a promise needs no store, and neither does refusing a name."""
    with pytest.raises(dp.InvalidPromiseIdError):
        dp.connect("http://nowhere.invalid").promise(id)


def test_a_promise_shows_its_id_and_store() -> None:
    """Its repr does no I/O and lets no control character through."""
    promise = dp.connect("memory:").promise("a\x1b[31m\n")

    assert r"<DurablePromise 'a\x1b[31m\n' at 'memory:'>" == repr(promise)
