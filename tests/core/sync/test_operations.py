"""Each operation, on each kind of store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from threading import Thread
from uuid import uuid4

import pytest

import dp_core.sync as dp


@dataclass
class Invoice:
    amount: int


@pytest.fixture
def fresh() -> Callable[[], str]:
    """Makes ids; the server's store is that of several tests."""
    return lambda: uuid4().hex


def test_the_first_outcome_wins(
    promises: dp.Promises, fresh: Callable[[], str]
) -> None:
    """And is what every operation returns."""
    promise = promises.promise(fresh())
    assert dp.Pending() == promise.peek()
    assert dp.Resolved([1]) == promise.resolve((1,), by="alice")
    assert dp.Resolved([1]) == promise.reject("too late")
    assert dp.Resolved([1]) == promise.peek()
    assert [1] == promise.get() == promise.get(0) == promise.get(timeout=5)


def test_a_rejection_is_raised(promises: dp.Promises, fresh: Callable[[], str]) -> None:
    """By `get` only."""
    promise = promises.promise(fresh())
    assert dp.Rejected("no") == promise.reject("no")
    for timeout in (None, 0, 5.0):
        with pytest.raises(dp.PromiseRejectedError, match=r"\Ano\b"):
            promise.get(timeout)


def test_what_is_pending_times_out(
    promises: dp.Promises, fresh: Callable[[], str]
) -> None:
    """After the time that was asked for."""
    promise = promises.promise(fresh())
    for timeout in (0, 0.2):
        with pytest.raises(dp.PromiseTimeoutError) as caught:
            promise.get(timeout)
        assert (promise.id, timeout) == (caught.value.id, caught.value.seconds)
    for wrong in (-1, "1", float("nan")):
        with pytest.raises(dp.InvalidTimeoutError):
            promise.get(wrong)  # type: ignore[arg-type] # that is refused


def test_a_wait_is_told(promises: dp.Promises, fresh: Callable[[], str]) -> None:
    """By whoever settles or disposes of the promise, in another thread."""
    first, second = (promises.promise(fresh()) for _ in range(2))
    settler = Thread(target=lambda: first.resolve("there"))
    settler.start()
    assert "there" == first.get()
    settler.join()

    def dispose_until_heard() -> None:
        while told.is_alive():
            second.dispose()
            told.join(0.05)

    heard: list[object] = []

    def hear() -> None:
        with pytest.raises(dp.PromiseDisposedError):
            heard.append(second.get())

    told = Thread(target=hear)
    told.start()
    dispose_until_heard()
    assert not heard


def test_types(promises: dp.Promises, fresh: Callable[[], str]) -> None:
    """A typed handle gives values of its type, and refuses others."""
    promise = promises.promise(fresh(), Invoice)
    with pytest.raises(dp.ValueMismatchError):
        promise.resolve({"amount": "much"})  # type: ignore[arg-type] # that is refused
    assert dp.Resolved(Invoice(3)) == promise.resolve(Invoice(3))
    assert Invoice(3) == promise.get()


def test_terms(promises: dp.Promises, fresh: Callable[[], str]) -> None:
    """Created, shown, found, refused, and pruned."""
    kind = fresh()
    made = promises.create(
        tags={"kind": kind}, data={"amount": 3}, deadline=timedelta(hours=1)
    )
    assert made.terms is not None
    assert {"amount": 3} == made.terms.data
    assert made.info().terms == made.terms
    with pytest.raises(dp.PromiseExistsError):
        promises.create(made.id, data=4, exist_ok=False)
    (found,) = promises.list(tags={"kind": kind}, state="pending")
    assert made.id == found.id
    made.resolve(None, by="alice")
    assert "alice" == made.info().settled_by
    assert 1 == promises.prune(
        settled_before=timedelta(0), tags={"kind": kind}, state="resolved"
    )
    assert [] == list(promises.list(tags={"kind": kind}))


def test_several(promises: dp.Promises, fresh: Callable[[], str]) -> None:
    """Gathered, raced, and told as they are settled, by the handles that were given."""
    prefix = fresh()
    a, b, c = (promises.promise(prefix + name) for name in "abc")
    b.resolve(2)
    assert (b, dp.Resolved(2)) == dp.race(a, b, c)
    assert dp.race(a, b)[0] is b
    a.resolve(1)
    c.reject("no")
    assert [1, 2] == dp.gather(a, b)
    assert [dp.Resolved(1), dp.Rejected("no")] == dp.all_settled(a, c)
    with pytest.raises(dp.PromiseRejectedError):
        dp.gather(a, c)
    assert {a, b, c} == {promise for promise, _ in dp.as_settled([a, b, c])}


@pytest.mark.slow
def test_several_have_a_time_limit(
    promises: dp.Promises, fresh: Callable[[], str]
) -> None:
    """As one has: nothing can be written around what blocks."""
    prefix = fresh()
    a, b, c = (promises.promise(prefix + name) for name in "abc")
    b.resolve(2)
    for timeout in (0, 0.2):
        for wait in (dp.gather, dp.all_settled):
            with pytest.raises(dp.PromiseTimeoutError) as caught:
                wait(b, a, c, timeout=timeout)
            assert (a.id, timeout) == (caught.value.id, caught.value.seconds)
        with pytest.raises(dp.PromiseTimeoutError):
            dp.race(c, a, timeout=timeout)
        assert (b, dp.Resolved(2)) == dp.race(a, b, c, timeout=timeout)
        assert [2] == dp.gather(b, timeout=timeout)
        settled = dp.as_settled([a, b], timeout=timeout)
        assert (b, dp.Resolved(2)) == next(settled)
        with pytest.raises(dp.PromiseTimeoutError):
            next(settled)
    with settled:
        a.resolve(1)
        assert [(a, dp.Resolved(1))] == list(settled)
    for wrong in (-1, "1"):
        with pytest.raises(dp.InvalidTimeoutError):
            dp.gather(a, timeout=wrong)  # type: ignore[call-overload] # that is refused


def test_an_iterator_goes_on_after_an_error_of_one_promise(
    promises: dp.Promises, fresh: Callable[[], str]
) -> None:
    """The error comes where its promise would."""
    prefix = fresh()
    promises.promise(f"{prefix}a").resolve("text")
    b = promises.promise(f"{prefix}b")
    b.resolve(2)
    settled = dp.as_settled([promises.promise(f"{prefix}a", int), b])
    with pytest.raises(dp.ValueMismatchError):
        next(settled)
    assert [(b, dp.Resolved(2))] == list(settled)
    with pytest.raises(StopIteration):
        next(settled)


def test_a_closed_handle_is_closed(tmp_path: Path) -> None:
    """Its calls are errors, and so are the waits that were under way."""
    handle = dp.connect(f"file:{tmp_path}/promises")
    raised: list[BaseException] = []

    def wait() -> None:
        try:
            handle.promise("x").get()
        except dp.BackendClosedError as error:
            raised.append(error)

    thread = Thread(target=wait)
    thread.start()
    handle.close()
    thread.join()
    assert [dp.BackendClosedError] == [type(error) for error in raised]
    with pytest.raises(dp.BackendClosedError):
        handle.promise("x").peek()


def test_the_short_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Handles made by `durable_promise` are equal to those of `connect`."""
    monkeypatch.chdir(tmp_path)  # A long URL is not shown whole.
    url = "sqlite:promises.db"
    promise = dp.durable_promise("x", url, int)
    assert dp.Resolved(1) == promise.resolve(1)
    with dp.connect(url) as promises:
        assert promises.promise("x") == promise
        assert hash(promises.promise("x")) == hash(promise)
        assert promises.promise("y") != promise
        assert dp.connect(url) == promises
        assert {promises} == {promises, dp.connect(url)}
        assert {promise} == {promise, promises.promise("x")}
        assert promises != promise
        assert promise != promises
        assert promises.url == url == promise.url
        assert f"<Promises at {url!r}>" == repr(promises)
        assert f"<DurablePromise 'x' at {url!r}>" == repr(promise)
    promise_backend = promise._promise._backend
    dp.Promises(promise_backend, url).close()


def test_handles_of_both_kinds_do_not_mix() -> None:
    """The error says which kind is wanted."""
    import dp_core  # noqa: PLC0415 - the other kind

    other = dp_core.connect("memory:").promise("x")
    for wait in (dp.gather, dp.all_settled, dp.race):
        with pytest.raises(TypeError, match=r"of dp_core\.sync, not <DurablePromise"):
            wait(other)  # type: ignore[call-overload] # that is refused
