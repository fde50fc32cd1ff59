"""Signals at each moment of a call, in the thread that is blocked by it."""

from __future__ import annotations

import gc
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from threading import Lock
from types import FrameType
from typing import Any
from uuid import uuid4

import pytest

import dp_core.sync as dp
from dp_core.sync import _run

ROUNDS = 300


@pytest.fixture(autouse=True)
def _not_while_coverage_is_measured() -> None:
    """Skip: what is raised in the middle of its work leaves its own lock held."""
    coverage = sys.modules.get("coverage")
    if coverage is not None and coverage.Coverage.current() is not None:
        pytest.skip("coverage does not outlive signals at each moment")


class AlarmError(Exception):
    """Raised by a signal handler of the program."""


def alarm(*_: object) -> None:
    """Raise that."""
    raise AlarmError


HANDLERS: dict[type[BaseException], Callable[..., object]] = {
    KeyboardInterrupt: signal.default_int_handler,
    AlarmError: alarm,
}


class Moments:
    """Raises a signal at one of the moments at which a signal handler may run."""

    def __init__(self, moment: int) -> None:
        self.left = moment

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        # Between calls of functions, and when one of C returns, Python looks for them.
        # What they raise in `__del__`, as also weak references have it, nobody hears.
        if event in ("call", "c_return") and frame.f_code.co_name not in DELETING:
            self.left -= 1
            if not self.left:
                signal.raise_signal(signal.SIGUSR1)


DELETING = ("__del__", "_remove", "remove")


def at_each_moment(
    handler: Callable[..., object], work: Callable[[], object]
) -> Iterator[type[BaseException] | None]:
    """Yield what some work raises that gets a signal at its next moment."""
    for moment in count(1):
        raised: type[BaseException] | None = None
        moments = Moments(moment)
        before = signal.signal(signal.SIGUSR1, handler)
        sys.setprofile(moments)
        try:
            work()
        except (KeyboardInterrupt, AlarmError) as error:
            raised = type(error)
        finally:
            sys.setprofile(None)
            signal.signal(signal.SIGUSR1, before)
        if moments.left > 0:
            return
        yield raised


def block(promises: list[dp.DurablePromise[Any]]) -> list[object]:
    """Wait for all in a block that watches."""
    with dp.as_settled(promises) as settled:
        return list(settled)


def again(promises: dp.Promises) -> None:
    """Open the store once more, and close it."""
    with dp.connect(promises.url) as handle:
        handle.promise("x").peek()


WORK: dict[str, Callable[[dp.Promises, list[dp.DurablePromise[Any]]], object]] = {
    "peek": lambda _, p: p[0].peek(),
    "resolve": lambda _, p: p[0].resolve(1),
    "get": lambda _, p: p[0].get(),
    "gather": lambda _, p: dp.gather(*p),
    "race": lambda _, p: dp.race(*p),
    "as_settled": lambda _, p: list(dp.as_settled(p)),
    "block": lambda _, p: block(p),
    "list": lambda promises, _: list(promises.list()),
    "close": lambda promises, _: again(promises),
}


# To connect makes instances of a `Protocol`, and there `typing` hears no handler.
AT_EACH = sorted(set(WORK) - {"close"})


def settled(url: str) -> tuple[dp.Promises, list[dp.DurablePromise[Any]]]:
    """Return a handle on a store, and settled promises in it."""
    promises = dp.connect(url)
    several = [promises.promise(f"{uuid4()}{n}") for n in range(2)]
    for promise in several:
        promise.resolve(1)
    return promises, several


def whole(promise: dp.DurablePromise[Any]) -> None:
    """Call until no other call is under way any more."""
    loop = _run._LOOPS[-1]
    assert not loop._under_way
    thread = loop._thread
    while thread is not None and thread._calls:
        assert dp.Resolved(1) == promise.peek()


@pytest.mark.parametrize("error", HANDLERS)
@pytest.mark.parametrize("name", AT_EACH)
def test_a_call_is_interrupted_at_any_moment(
    error: type[BaseException], name: str, recwarn: pytest.WarningsRecorder
) -> None:
    """The error of the handler is raised, nothing goes on, and the next call works."""
    promises, several = settled(f"memory:{uuid4()}")
    moments = 0
    for raised in at_each_moment(
        HANDLERS[error], lambda: WORK[name](promises, several)
    ):
        moments += 1
        assert raised is error
        whole(several[0])
        assert 1 == several[0].get()
    assert moments > 20
    gc.collect()
    # As of coroutines that nobody awaited.
    assert [] == list(recwarn)


@pytest.mark.parametrize("name", AT_EACH)
def test_a_signal_handler_may_call_and_wait_at_any_moment(name: str) -> None:
    """Whatever the call in the middle of which it comes holds at that moment."""
    promises, several = settled(f"memory:{uuid4()}")
    got: list[object] = []

    def handler(*_: object) -> None:
        got.append(several[0].resolve(2))
        got.append(several[0].get())

    moments = len(list(at_each_moment(handler, lambda: WORK[name](promises, several))))
    assert moments > 20
    assert [dp.Resolved(1), 1] * moments == got


@pytest.mark.parametrize("error", HANDLERS)
def test_the_first_call_is_interrupted_at_any_moment(
    error: type[BaseException],
) -> None:
    """The thread for all is started, or is not; and the next call is served."""
    _, several = settled(f"memory:{uuid4()}")
    moments = 0
    _run._LOOPS[-1].rest(Lock())
    for raised in at_each_moment(HANDLERS[error], several[0].peek):
        moments += 1
        assert raised is error
        whole(several[0])
        _run._LOOPS[-1].rest(Lock())
    assert moments > 40


def files() -> int:
    """Return the number of this process's open files."""
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.slow
def test_calls_are_interrupted_at_random_moments(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was told stands, no waiter and no file is left, and the next call works."""
    promises, several = settled(url)
    chance = random.Random(url)  # noqa: S311 - nobody is to be kept from guessing it
    took: dict[str, float] = {}
    for name, work in WORK.items():
        begun = time.perf_counter()
        work(promises, several)
        took[name] = time.perf_counter() - begun
    before, interrupted = files(), 0
    # Python tells of what a handler raises in `__del__`, and goes on.
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)
    heard = signal.signal(signal.SIGALRM, signal.default_int_handler)
    for n in range(ROUNDS):
        name = chance.choice(list(WORK))
        fresh = promises.promise(f"{uuid4()}")
        told: object = None
        try:
            signal.setitimer(signal.ITIMER_REAL, chance.uniform(1e-6, 2 * took[name]))
            told = fresh.resolve(n)
            WORK[name](promises, several)
            signal.setitimer(signal.ITIMER_REAL, 0)
        except KeyboardInterrupt:
            interrupted += 1
        assert told in {None, fresh.peek()}
        whole(several[0])
    signal.signal(signal.SIGALRM, heard)
    assert interrupted
    # Some are of connections, as many as there were calls at a time.
    assert files() < before + 20
    promises.close()
