"""
`crash_sweep`: kills a process at every system call, and checks what is left.

Each kill has promises of its own, with waiters in another process. Afterwards
other handles open the store. They must find the state before or after each
operation, every outcome that was acknowledged, nothing that changes later, and
nothing that blocks them.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, nullcontext
from dataclasses import dataclass, field
from functools import partial
from random import SystemRandom
from typing import Any, Final

import anyio
from anyio import to_thread

from dp_core import DurablePromiseError, State, connect
from dp_core.testing.crash._case import CrashCase
from dp_core.testing.crash._model import SCENARIOS, Scenario
from dp_core.testing.crash._report import VANISHED, CrashError, CrashReport, violation
from dp_core.testing.crash._victims import (
    WRITING_CALLS,
    Point,
    VictimRunner,
    missing_tools,
    thinned,
)
from dp_core.testing.kit import Violation

__all__ = ["CHILD", "crash_sweep"]

CHILD: Final = (sys.executable, "-m", "dp_core.testing.crash")
"""The program whose processes are killed, for any backend with a store URL."""


async def crash_sweep(  # noqa: PLR0913 - one call, and all but one have a default
    url_for: Callable[[], str],
    *,
    scenarios: Sequence[Scenario] = SCENARIOS,
    child: Sequence[str] = CHILD,
    environment: Mapping[str, str] | None = None,
    calls: Sequence[str] = WRITING_CALLS,
    every: bool = False,
    after_kill: Callable[[], object] | None = None,
    reader: bool = False,
    lanes: int = 2,
    patience: float = 20.0,
    stop_at_first: bool = False,
    sample: int | None = None,
) -> CrashReport:
    """
    Kill processes at every system call they make, and check the store each time.

    Args:
        url_for: Returns the URL of a store that does not exist yet.
        scenarios: Operations of the processes.
        child: The program that starts them; see `dp_core.testing.crash.serve`.
        environment: Variables to set for it.
        calls: The system calls before which they are killed.
        every: Whether to kill also in the middle of long runs of one call.
        after_kill: Called after each kill, as to cut the power.
        reader: Whether another process peeks at the promises before *after_kill*;
            it ends without closing, so that nothing becomes durable that way.
        lanes: How many processes run at the same time; one with *after_kill*.
        patience: How long an operation may take, in seconds.
        stop_at_first: Whether to stop at the first violation.
        sample: How many of all kills to try, chosen at random; all of them by default.

    Raises:
        CrashError: An acknowledged outcome was lost, an outcome that was seen
            changed, or a promise is torn or stuck.
        RuntimeError: A tool is missing; call `missing_tools` to check.
    """
    if missing := missing_tools():
        raise RuntimeError(missing)
    started = time.monotonic()
    sweep = _CrashSweep(
        url_for, calls, every, after_kill, reader, patience, stop_at_first
    )
    async with AsyncExitStack() as stack:
        workers = [
            _SweepWorker(
                stack.enter_context(VictimRunner(child, environment or {}, patience))
            )
            for _ in range(1 if after_kill else lanes)
        ]
        found = [
            (scenario, point)
            for scenario in scenarios
            for point in await sweep.points(workers[0], scenario)
        ]
        if sample is not None and sample < len(found):
            found = SystemRandom().sample(found, sample)
        targets = iter(found)
        async with anyio.create_task_group() as tasks:
            for worker in workers:
                tasks.start_soon(sweep.work, worker, targets)
        for worker in workers:
            await sweep.audit(worker)
    report = sweep.report(time.monotonic() - started)
    if report.violations:
        raise CrashError(report)
    return report


@dataclass(slots=True)
class _SweepWorker:
    """A runner, the store of its processes, and the states that must be there."""

    runner: VictimRunner
    url: str | None = None
    settled: dict[str, State[Any]] = field(default_factory=dict)


@dataclass(slots=True)
class _CrashSweep:
    url_for: Callable[[], str]
    calls: Sequence[str]
    every: bool
    after_kill: Callable[[], object] | None
    reader: bool
    patience: float
    stop_at_first: bool
    kills: list[tuple[str, Point]] = field(default_factory=list)
    missed: list[tuple[str, Point]] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)
    cases: int = 0

    async def points(self, worker: _SweepWorker, scenario: Scenario) -> Sequence[Point]:
        """Return where to kill; the run that finds out must itself go well."""
        case = await self._new_case(worker, scenario)
        async with self._circumstances(case):
            points, ended = await to_thread.run_sync(
                worker.runner.points, case.url, case.steps, self.calls
            )
            case.learn(case.steps, ended)
            await case.check()
        self._close(worker, case)
        return points if self.every else thinned(points)

    async def work(
        self, worker: _SweepWorker, targets: Iterator[tuple[Scenario, Point]]
    ) -> None:
        """Try points until there are none left."""
        for scenario, point in targets:
            if self.stop_at_first and self.violations:
                return
            case = await self._new_case(worker, scenario)
            async with self._circumstances(case):
                await self._kill(worker, case, point)
            self._close(worker, case)

    def _circumstances(self, case: CrashCase) -> AbstractAsyncContextManager[None]:
        """Return who waits meanwhile; a process makes other calls with them there."""
        scenario = case.scenario
        done = scenario.begun or scenario.done
        if scenario.fresh or done or self.after_kill is not None:
            # A waiter would open the store, finish a step that was begun, or
            # keep the disk busy.
            return nullcontext()
        return case.watched()

    async def _kill(self, worker: _SweepWorker, case: CrashCase, point: Point) -> None:
        runner = worker.runner
        ended = await to_thread.run_sync(runner.run_until, case.url, case.steps, point)
        case.learn(case.steps, ended)
        (self.kills if ended.killed else self.missed).append(
            (case.scenario.name, point)
        )
        if ended.killed:
            case.note(f"killed before {point}")
        if self.reader:
            # Closing its handle might write what it had shown too early.
            look = partial(runner.run, case.url, case.looks, abrupt=True)
            looked = await to_thread.run_sync(look)
            case.learn(case.looks, looked)
        if self.after_kill is not None:
            await to_thread.run_sync(self.after_kill)
            case.note("the power was cut")
        await case.check_waiters()
        await case.check()

    async def audit(self, worker: _SweepWorker) -> None:
        """Peek at all promises once more: nothing may have changed since."""
        if worker.url is None:
            return
        async with connect(worker.url) as promises:
            for id, state in worker.settled.items():
                try:
                    found: object = await promises.promise(id).peek()
                except DurablePromiseError as error:
                    found = error
                if found != state:
                    reason = f"{id!r} was {state!r}, and is {found!r} in the end"
                    self.violations.append(violation(VANISHED, reason, ()))

    def report(self, seconds: float) -> CrashReport:
        """Return the report on all kills so far."""
        return CrashReport(
            tuple(self.kills),
            tuple(self.missed),
            tuple(self.violations),
            seconds,
        )

    async def _new_case(self, worker: _SweepWorker, scenario: Scenario) -> CrashCase:
        self.cases += 1
        if worker.url is None:
            worker.url = self.url_for()
            await self._make(worker.url)
        url = self.url_for() if scenario.fresh else worker.url
        case = CrashCase(scenario, url, f"{self.cases}-", self.patience)
        case.note(f"scenario: {scenario.name}")
        await case.set_up()
        return case

    async def _make(self, url: str) -> None:
        """Make the store, so that no process has to."""
        async with connect(url) as promises:
            # Not by a peek: a question need not make a store.
            await promises.promise("any").resolve("made")

    def _close(self, worker: _SweepWorker, case: CrashCase) -> None:
        self.violations += case.violations
        if case.url == worker.url:
            worker.settled |= case.settled
