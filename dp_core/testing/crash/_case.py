"""`CrashCase`: one kill, with the states that are possible before and after."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final

import anyio
from anyio import to_thread

from dp_core import (
    CorruptPromiseError,
    DurablePromiseError,
    Pending,
    PromiseDisposedError,
    PromiseRejectedError,
    Promises,
    Rejected,
    Resolved,
    State,
    connect,
)
from dp_core.testing.crash._child import perform
from dp_core.testing.crash._model import (
    Belief,
    Scenario,
    Step,
    acknowledged,
    done,
    unacknowledged,
)
from dp_core.testing.crash._report import (
    KEEPS,
    STUCK,
    TORN,
    VANISHED,
    WAKES,
    violation,
)
from dp_core.testing.crash._victims import Ended
from dp_core.testing.kit import Violation

__all__ = ["CrashCase"]

_AFTERWARDS: Final = "settled after the crash"


@dataclass(eq=False)
class _CrashWaiter:
    """A waiter for a promise, and the state that it got."""

    ended: anyio.Event = field(default_factory=anyio.Event)
    state: State[Any] | None = None
    is_judged: bool = False


class CrashCase:
    """
    One scenario on ids of its own, before, during and after a kill.

    Attributes:
        steps: The operations of the process.
        violations: The laws that were broken.
        settled: The last state of each id.
    """

    def __init__(
        self, scenario: Scenario, url: str, prefix: str, patience: float
    ) -> None:
        self._prefix = prefix
        self.scenario = scenario
        self.url = url
        self.steps = self._with_ids(*scenario.steps)
        self.violations: list[Violation] = []
        self.settled: dict[str, State[Any]] = {}
        self._patience = patience
        self._history: list[str] = []
        self._beliefs: dict[str, Belief] = {
            prefix + name: frozenset({Pending()}) for name in scenario.promises
        }
        self._seen: dict[str, bool] = dict.fromkeys(self._beliefs, False)
        self._ever: dict[str, set[State[Any]]] = {id: set() for id in self._beliefs}
        self._waiters: dict[str, _CrashWaiter] = {}

    @property
    def looks(self) -> tuple[Step, ...]:
        """The steps of a process that peeks at all promises."""
        return tuple(Step("peek", id) for id in self._beliefs)

    def _with_ids(self, *steps: Step) -> tuple[Step, ...]:
        return tuple(replace(s, promise=self._prefix + s.promise) for s in steps)

    # Before and during ------------------------------------------------------

    async def set_up(self) -> None:
        """Do the steps that the scenario has before the kill."""
        before = self._with_ids(*self.scenario.before)
        prepare = self.scenario.prepare
        async with self._bounded("setting up"), connect(self.url) as promises:
            answers = [await perform(promises, step) for step in before]
            self.learn(before, Ended(tuple(answers), killed=False, failure=None))
            if prepare is not None:
                await to_thread.run_sync(prepare, self.url, self._prefix)
        for step in self._with_ids(*self.scenario.done):
            self._believe(step.promise, done(self._beliefs[step.promise], step))
        for step in self._with_ids(*self.scenario.begun):
            self._widen(step)

    def learn(self, steps: tuple[Step, ...], ended: Ended) -> None:
        """Narrow the possible states by the acknowledgements of a process."""
        for step, answer in zip(steps, ended.answers, strict=False):
            if answer is None:
                self._widen(step)
                continue
            self.note(f"{_shown(step)} returned {_shown_state(answer)}")
            belief = acknowledged(self._beliefs[step.promise], step, answer)
            if not belief:
                known = self._seen[step.promise]
                self.broken(
                    KEEPS if known else TORN, f"{_shown(step)} cannot return that"
                )
                belief = frozenset({answer})
            self._believe(step.promise, belief)
            self._seen[step.promise] = True
        if ended.failure is not None:
            self.broken(STUCK, ended.failure)
        if ended.killed and len(ended.answers) < len(steps):
            self._widen(steps[len(ended.answers)])

    def _widen(self, step: Step) -> None:
        self.note(f"{_shown(step)} did not return")
        self._believe(step.promise, unacknowledged(self._beliefs[step.promise], [step]))

    def _believe(self, id: str, belief: Belief) -> None:
        self._beliefs[id] = belief
        self._ever[id] |= belief

    def note(self, line: str) -> None:
        """Add a line to the history."""
        self._history.append(line)

    def broken(self, law: str, reason: str) -> None:
        """Record that a law does not hold."""
        self.violations.append(violation(law, reason, tuple(self._history)))

    # Others -----------------------------------------------------------------

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Have waiters for all promises meanwhile; they must get the outcomes."""
        async with (
            connect(self.url) as promises,
            anyio.create_task_group() as tasks,
        ):
            for id in self._beliefs:
                self._waiters[id] = waiter = _CrashWaiter()
                tasks.start_soon(self._wait, promises, id, waiter)
            yield
            for id, waiter in self._waiters.items():
                await self._check_waiter(id, waiter)
            tasks.cancel_scope.cancel()

    async def check_waiters(self) -> None:
        """Check the waiters of promises that must be settled by now."""
        for id, waiter in self._waiters.items():
            if Pending() not in self._beliefs[id]:
                await self._check_waiter(id, waiter)

    async def _check_waiter(self, id: str, waiter: _CrashWaiter) -> None:
        if waiter.is_judged:
            return
        with anyio.move_on_after(self._patience):
            await waiter.ended.wait()
        waiter.is_judged = True
        if waiter.state is None:
            self.broken(WAKES, f"the waiter for {id!r} did not get the outcome")
        elif waiter.state not in self._ever[id]:
            what = _shown_state(waiter.state)
            self.broken(WAKES, f"the waiter for {id!r} got {what}")

    async def _wait(self, promises: Promises, id: str, waiter: _CrashWaiter) -> None:
        try:
            waiter.state = await self._get(promises, id)
        except DurablePromiseError as error:
            reason = f"the waiter for {id!r} got {_shown_error(error)}"
            self.broken(_law(error, WAKES), reason)
            waiter.is_judged = True
        waiter.ended.set()

    async def _get(self, promises: Promises, id: str) -> State[Any]:
        try:
            return Resolved(await promises.promise(id).get())
        except PromiseRejectedError as error:
            return Rejected(error.error)
        except PromiseDisposedError:
            # Pending again: right if the promise was pending at any time.
            return Pending()

    async def check(self) -> None:
        """Peek at the promises, settle them, and compare all results."""
        for id in self._beliefs:
            async with (
                self._bounded(f"opening the store for {id!r}"),
                connect(self.url) as one,
                connect(self.url) as two,
            ):
                await self._check(id, one, two)

    async def _check(self, id: str, one: Promises, two: Promises) -> None:
        found = await one.promise(id).peek()
        self.note(f"afterwards {id!r} is {_shown_state(found)}")
        if found not in self._beliefs[id]:
            only = " or ".join(map(_shown_state, self._beliefs[id]))
            reason = f"{id!r} can only be {only}, and is {_shown_state(found)}"
            self.broken(KEEPS if self._seen[id] else TORN, reason)
        expected = found if not isinstance(found, Pending) else Resolved(_AFTERWARDS)
        waiter = _CrashWaiter()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._wait, two, id, waiter)
            outcome = await perform(one, Step("resolve", id, _AFTERWARDS))
        self._believe(id, frozenset({outcome}))
        self.settled[id] = outcome
        seen = (outcome, waiter.state, await two.promise(id).peek())
        if set(seen) != {expected}:
            what = ", ".join(map(_shown_state, seen))
            self.broken(
                VANISHED,
                f"{id!r} was seen as {_shown_state(found)}; then settle, get and peek "
                f"returned {what}",
            )

    @asynccontextmanager
    async def _bounded(self, doing: str) -> AsyncIterator[None]:
        """Turn errors and timeouts into violations."""
        try:
            with anyio.fail_after(self._patience):
                yield
        except* TimeoutError:
            self.broken(STUCK, f"{doing} takes more than {self._patience:g} s")
        except* DurablePromiseError as group:
            for error in group.exceptions:
                self.broken(_law(error, STUCK), f"{doing}: {_shown_error(error)}")


def _law(error: Exception, otherwise: str) -> str:
    """Return the law that an error breaks."""
    return TORN if isinstance(error, CorruptPromiseError) else otherwise


def _shown(step: Step) -> str:
    value = f", {step.value!r}" if step.value else ""
    return f"{step.do}({step.promise!r}{value})"


def _shown_state(state: State[Any] | None) -> str:
    return "pending" if isinstance(state, Pending) else repr(state)


def _shown_error(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
