"""Observers see every operation, and none of them feels it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final, TypeAlias

import anyio
import pytest
from anyio.lowlevel import checkpoint

import dp_core as dp
from dp_core.instrumentation import (
    Finished,
    LoggingObserver,
    Started,
    add_observer,
    observing,
    remove_observer,
)

Call: TypeAlias = Callable[[dp.DurablePromise[Any]], Awaitable[object]]

CALLS: Final[dict[str, Call]] = {
    "peek": lambda promise: promise.peek(),
    "get": lambda promise: promise.get(),
    "resolve": lambda promise: promise.resolve("value"),
    "reject": lambda promise: promise.reject("message"),
    "dispose": lambda promise: promise.dispose(),
}
PAUSES: Final = 3


class Recording:
    """Keeps the events."""

    def __init__(self) -> None:
        self.events: list[Started | Finished] = []

    def started(self, event: Started) -> None:
        self.events.append(event)

    def finished(self, event: Finished) -> None:
        self.events.append(event)

    @property
    def last(self) -> Finished:
        event = self.events[-1]
        assert isinstance(event, Finished)
        return event


class Failing(Recording):
    """Keeps the events, and fails."""

    def started(self, event: Started) -> None:
        super().started(event)
        raise RuntimeError("started")

    def finished(self, event: Finished) -> None:
        super().finished(event)
        raise RuntimeError("finished")


class Pausing(dp.Backend):
    """A resolved promise whose every operation has a few checkpoints."""

    def __init__(self, before: Callable[[int], None]) -> None:
        self.before = before

    async def pause(self) -> None:
        for number in range(PAUSES):
            self.before(number)
            await checkpoint()

    async def peek(self, id: str) -> dp.State[bytes]:
        await self.pause()
        return dp.Resolved(b"1")

    async def settle(self, id: str, outcome: dp.Outcome[bytes]) -> Any:
        await self.pause()
        return dp.Resolved(b"1")

    async def wait(self, id: str) -> Any:
        await self.pause()
        return dp.Resolved(b"1")

    async def dispose(self, id: str) -> None:
        await self.pause()

    async def aclose(self) -> None:
        """Hold nothing."""


@pytest.fixture
def seen() -> Iterator[Recording]:
    """Observe this process."""
    recording = Recording()
    with observing(recording):
        yield recording


@pytest.fixture
def promise(request: pytest.FixtureRequest) -> dp.DurablePromise[Any]:
    """Return a promise that no other test uses."""
    return dp.durable_promise("id", f"memory:{request.node.name}")


async def test_each_operation_is_reported(
    seen: Recording, promise: dp.DurablePromise[Any]
) -> None:
    """Start and end name operation, id and store; the end also says the result."""
    await promise.peek()
    await promise.resolve("value")
    await promise.reject("late")
    await promise.peek()
    assert "value" == await promise
    await promise.dispose()

    for started, finished in zip(seen.events[::2], seen.events[1::2], strict=True):
        assert isinstance(started, Started)
        assert isinstance(finished, Finished)
        shared = (finished.number, finished.operation, finished.id, finished.url)
        assert started == Started(*shared)
        assert ("id", promise.url) == (finished.id, finished.url)
        assert 0 <= finished.seconds < 60
        assert (None, False) == (finished.error, finished.cancelled)
    assert [
        ("peek", "pending"),
        ("resolve", "resolved"),
        ("reject", "resolved"),
        ("peek", "resolved"),
        ("get", "resolved"),
        ("dispose", "disposed"),
    ] == [(e.operation, e.result) for e in seen.events if isinstance(e, Finished)]


async def test_values_are_json_text_and_not_in_the_repr(
    seen: Recording, promise: dp.DurablePromise[Any]
) -> None:
    """The outcome that was asked for and the state are there as bytes, if one looks."""
    await promise.resolve(("se", "cret"))
    assert dp.Resolved(b'["se","cret"]') == seen.last.asked == seen.last.state
    assert "cret" not in repr(seen.last)

    await promise.reject("late")
    assert dp.Rejected("late") == seen.last.asked
    assert dp.Resolved(b'["se","cret"]') == seen.last.state

    await promise.peek()
    assert None is seen.last.asked
    assert dp.Resolved(b'["se","cret"]') == seen.last.state

    await promise.dispose()
    assert dp.Pending() == seen.last.state


async def test_errors_are_reported(
    seen: Recording, promise: dp.DurablePromise[Any]
) -> None:
    """The exception that the caller gets is the one in the event."""
    with pytest.raises(dp.PromiseTimeoutError) as caught:
        await promise.get(timeout=0.001)
    assert (caught.value, "PromiseTimeoutError") == (seen.last.error, seen.last.result)
    assert not seen.last.cancelled

    with pytest.raises(dp.PromiseTimeoutError):
        await promise.get(timeout=0)
    assert dp.Pending() == seen.last.state

    with pytest.raises(dp.InvalidValueError):
        await promise.resolve(object())
    assert (None, None, "InvalidValueError") == (
        *(seen.last.asked, seen.last.state),
        seen.last.result,
    )

    await promise.reject("no")
    with pytest.raises(dp.PromiseRejectedError) as rejected:
        await promise
    assert (rejected.value, "rejected") == (seen.last.error, seen.last.result)
    assert dp.Rejected("no") == seen.last.state


@pytest.mark.parametrize("name", ["peek", "get", "resolve"])
async def test_a_value_of_another_type(
    name: str, promise: dp.DurablePromise[Any], seen: Recording
) -> None:
    """The event has both the error and the state that does not fit the type."""
    await promise.resolve([1])
    typed: dp.DurablePromise[Any] = dp.durable_promise("id", promise.url, type=str)

    with pytest.raises(dp.ValueMismatchError) as caught:
        await CALLS[name](typed)

    assert (caught.value, "ValueMismatchError") == (seen.last.error, seen.last.result)
    assert dp.Resolved(b"[1]") == seen.last.state


@pytest.mark.parametrize("at", range(PAUSES))
@pytest.mark.parametrize("name", CALLS)
async def test_cancelled_at_every_checkpoint(
    name: str, at: int, seen: Recording
) -> None:
    """A cancellation is reported as one, with nothing else, and goes on its way."""
    scope = anyio.CancelScope()
    backend = Pausing(lambda number: scope.cancel() if number == at else None)
    promise = dp.DurablePromise("id", Any, backend, "pausing:", 1000)

    with scope:
        await CALLS[name](promise)
        pytest.fail("it was not cancelled")

    assert scope.cancelled_caught
    started, finished = seen.events
    assert [name] * 2 == [started.operation, finished.operation]
    assert (True, "cancelled") == (seen.last.cancelled, seen.last.result)
    assert isinstance(seen.last.error, anyio.get_cancelled_exc_class())
    assert None is seen.last.state


@pytest.mark.parametrize("name", CALLS)
def test_an_operation_that_is_dropped(name: str, seen: Recording) -> None:
    """A coroutine that its loop leaves behind ends as cancelled, without a loop."""

    def stop(number: int) -> None:
        raise GeneratorExit

    promise = dp.DurablePromise("id", Any, Pausing(stop), "pausing:", 1000)
    with pytest.raises(GeneratorExit):
        CALLS[name](promise).__await__().__next__()

    assert "cancelled" == seen.last.result


async def test_what_observers_raise_harms_nobody(
    promise: dp.DurablePromise[Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Operations and other observers go on; the first failure is logged."""
    failing, other = Failing(), Recording()
    with observing(failing), observing(other):
        assert dp.Resolved(1) == await promise.resolve(1)
        assert 1 == await promise
        with pytest.raises(dp.InvalidValueError):
            await promise.resolve(object())

    assert 6 == len(failing.events)
    assert failing.events == other.events
    [record] = caplog.records
    assert "dp_core.instrumentation" == record.name
    assert record.exc_info
    assert "started" == str(record.exc_info[1])


async def test_observers_come_and_go(promise: dp.DurablePromise[Any]) -> None:
    """Added twice, it gets events twice; removed, it gets none."""
    recording = Recording()
    add_observer(recording)
    add_observer(recording)
    await promise.peek()
    assert 4 == len(recording.events)

    remove_observer(recording)
    await promise.peek()
    assert 6 == len(recording.events)

    remove_observer(recording)
    remove_observer(recording)
    await promise.peek()
    assert 6 == len(recording.events)


async def test_observing_ends_with_its_block(promise: dp.DurablePromise[Any]) -> None:
    """An error in the block ends it, too."""
    recording = Recording()
    with pytest.raises(dp.PromiseTimeoutError), observing(recording):
        await promise.get(timeout=0)
    await promise.peek()

    assert 2 == len(recording.events)


async def test_the_start_is_received_with_the_end_or_not_at_all(
    promise: dp.DurablePromise[Any],
) -> None:
    """Observers that come or go during an operation see all of it or nothing."""
    early, late = Recording(), Recording()

    with anyio.fail_after(60):
        await _come_and_go(promise, early, late)

    assert ["get", "get"] == [event.operation for event in early.events]
    assert ["resolve", "resolve"] == [event.operation for event in late.events]


async def _come_and_go(
    promise: dp.DurablePromise[Any], early: Recording, late: Recording
) -> None:
    async with anyio.create_task_group() as tasks:
        add_observer(early)
        tasks.start_soon(promise.get)
        while not early.events:
            await checkpoint()
        remove_observer(early)
        with observing(late):
            await promise.resolve(1)
            while len(early.events) < 2:
                await checkpoint()


async def test_numbers_pair_the_events(
    seen: Recording, promise: dp.DurablePromise[Any]
) -> None:
    """Of many waits for one promise, each end has the number of its start."""
    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(promise.get)
        while len(seen.events) < 3:
            await checkpoint()
        await promise.resolve(1)

    numbers = {type_: [] for type_ in (Started, Finished)}
    for event in seen.events:
        numbers[type(event)].append(event.number)
    assert 4 == len(set(numbers[Started]))
    assert numbers[Started] == sorted(numbers[Finished])


async def test_a_line_for_the_log(
    promise: dp.DurablePromise[Any], caplog: pytest.LogCaptureFixture
) -> None:
    """`LoggingObserver` writes a line for each operation, and no values."""
    caplog.set_level(logging.INFO)
    with observing(LoggingObserver()):
        await promise.reject("se\ncret")
        with pytest.raises(dp.PromiseRejectedError):
            await promise.get()
        with pytest.raises(dp.InvalidValueError):
            await promise.resolve(object())

    lines = [record.getMessage() for record in caplog.records]
    store = f"'id' at '{promise.url}'"
    starts = [
        f"reject {store}: rejected in ",
        f"get {store}: rejected in ",
        f"resolve {store}: InvalidValueError (",
    ]
    assert starts == [line[: len(s)] for line, s in zip(lines, starts, strict=True)]
    assert lines[0].endswith(" ms")
    assert "cret" not in "".join(lines)


async def test_nothing_in_the_log_is_forged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Ids, URLs and errors stay in their line, short, and without a password."""
    logger, hostile = logging.getLogger("mine"), "a\n\x1b[31m\u202e" * 100

    class Broken(Pausing):
        async def peek(self, id: str) -> dp.State[bytes]:
            raise dp.BackendUnavailableError(f"http://me:secret@host/ {hostile}")

    url = f"http://me:secret@host/{hostile}"
    promise = dp.DurablePromise(hostile, Any, Broken(lambda _: None), url, 1000)
    with observing(LoggingObserver(logger, logging.DEBUG)):
        with pytest.raises(dp.BackendUnavailableError):
            await promise.peek()
        caplog.set_level(logging.DEBUG, "mine")
        with pytest.raises(dp.BackendUnavailableError):
            await promise.peek()

    [record] = caplog.records
    line = record.getMessage()
    assert ("mine", "DEBUG") == (record.name, record.levelname)
    assert line.isprintable()
    assert len(line) < 600
    assert "secret" not in line
