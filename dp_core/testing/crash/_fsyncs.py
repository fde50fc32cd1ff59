"""
`failed_fsync_sweep`: lets each fsync fail, and goes on with the same handle.

The process is not killed. The step whose fsync fails may raise an error; then it is
repeated on the same handle and must succeed, because the fault is over. Afterwards
other handles open the store, as after a kill.

What an fsync that failed has lost cannot be seen this way: the call is replaced, and
the kernel writes everything later. A store must not take a later success for a proof;
see what your medium says of that.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import count, product
from typing import Final

from anyio import to_thread

from dp_core.testing.crash._case import CrashCase
from dp_core.testing.crash._model import Scenario, Step
from dp_core.testing.crash._report import RECOVERS, CrashError, CrashReport
from dp_core.testing.crash._sweep import CHILD
from dp_core.testing.crash._victims import Point, VictimRunner, missing_tools
from dp_core.testing.kit import Violation

__all__ = ["failed_fsync_sweep"]

_CALLS: Final = ("fsync", "fdatasync", "sync_file_range", "msync", "syncfs")

_TRY: Final = Step("resolve", value="the first", may_fail=True)
_AGAIN: Final = Step("resolve", value="the first")
_KEPT: Final = Step("resolve", "kept", "kept")
_LOOKS: Final = (Step("peek"), Step("peek", "kept"))

_SCENARIOS: Final = (
    Scenario("settle, and again", (_TRY, _AGAIN, *_LOOKS), before=(_KEPT,)),
    Scenario("settle, and look", (_TRY, *_LOOKS, _AGAIN), before=(_KEPT,)),
    Scenario(
        "dispose, and go on",
        (Step("dispose", may_fail=True), *_LOOKS, _TRY, _AGAIN, *_LOOKS),
        before=(_KEPT, _AGAIN),
    ),
    Scenario("make a store, and again", (_TRY, _AGAIN, Step("peek")), fresh=True),
)


async def failed_fsync_sweep(
    url_for: Callable[[], str],
    *,
    child: Sequence[str] = CHILD,
    environment: Mapping[str, str] | None = None,
    errors: Sequence[str] = ("EIO", "ENOSPC"),
    patience: float = 20.0,
) -> CrashReport:
    """
    Let every fsync of some operations fail, and check the handle and the store.

    Args:
        url_for: Returns the URL of a store that does not exist yet.
        child: The program whose processes do the operations; see `serve`.
        environment: Variables to set for it.
        errors: The errors with which each fsync fails, once each.
        patience: How long an operation may take, in seconds.

    Raises:
        CrashError: A handle does not go on, or an outcome is not as it was told.
        RuntimeError: A tool is missing; call `missing_tools` to check.
    """
    if missing := missing_tools():
        raise RuntimeError(missing)
    started = time.monotonic()
    failed: list[tuple[str, Point]] = []
    violations: list[Violation] = []
    numbers = count()

    async def new_case(scenario: Scenario) -> CrashCase:
        case = CrashCase(scenario, url_for(), f"{next(numbers)}-", patience)
        await case.set_up()
        return case

    with VictimRunner(child, environment or {}, patience) as runner:
        for scenario in _SCENARIOS:
            case = await new_case(scenario)
            points, _ = await to_thread.run_sync(
                runner.points, case.url, case.steps, _CALLS
            )
            for point, error in product(points, errors):
                case = await new_case(scenario)
                ended = await to_thread.run_sync(
                    runner.run_failing, case.url, case.steps, point, error
                )
                case.note(f"{error} at {point}")
                case.learn(case.steps, replace(ended, failure=None))
                if ended.failure is not None:
                    case.broken(RECOVERS, ended.failure)
                await case.check()
                failed.append((scenario.name, point))
                violations += case.violations
    report = CrashReport(
        tuple(failed), (), tuple(violations), time.monotonic() - started
    )
    if report.violations:
        raise CrashError(report)
    return report
