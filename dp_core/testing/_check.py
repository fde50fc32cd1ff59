"""One awaitable that judges a backend."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from random import SystemRandom
from time import monotonic
from typing import Final

import anyio

from dp_core.testing._alarm import alarm
from dp_core.testing._lab import Effort, Lab, OpenBackend, Run
from dp_core.testing._law import Law, unmet
from dp_core.testing._report import (
    ConformanceError,
    LawBrokenError,
    Report,
    Violation,
)
from dp_core.testing.laws import LAWS

__all__ = ["check_backend"]

_CONDEMNED: Final = (0.5, 10)
"""
How long a call may take once there is a verdict.

So many seconds at least, and so many times what calls were seen to take: a
law must not be named because the machine is slow, or the store polls.
"""

_NAMING: Final = 60.0
"""How long the other laws may take together once there is a verdict, in seconds."""

_FIRST: Final = "peek-never-blocks"
"""All laws peek, all the time: where that blocks, they would take hours."""


async def check_backend(  # noqa: PLR0913 - all but the first have a name
    open_backend: OpenBackend,
    *,
    durable: bool,
    shared: bool,
    skip: Collection[str] = (),
    laws: Iterable[Law] | None = None,
    effort: Effort | None = None,
    seed: int | None = None,
) -> Report:
    """
    Try every law on a store, and say which it breaks.

    Needs no pytest and runs on asyncio and trio. It never hangs: every call
    has a bound, one that does not heed its cancellation is taken off the
    loop, and in the main thread one that blocks the loop is broken off.

    Args:
        open_backend: Opens another handle on the same, initially empty store;
            a plain function or an async one.
        durable: Whether what was acknowledged is there after all handles were
            closed and opened again.
        shared: Whether two handles see each other.
        skip: Names of laws to leave out; the report says so.
        laws: What to try; by default all of `LAWS`.
        effort: How much is done; by default what takes some seconds.
        seed: The seed of an earlier run, to repeat its random choices.

    Returns:
        What was found out, where every law holds.

    Raises:
        ConformanceError: The backend breaks laws; each is named, with the
            shortest history that shows it.
        ValueError: *skip* names a law that does not exist.
    """
    effort = effort or Effort()
    chosen = LAWS.values() if laws is None else list(laws)
    check_names(skip, (law.name for law in chosen))
    run = Run(
        open_backend,
        durable,
        shared,
        SystemRandom().getrandbits(32) if seed is None else seed,
        effort,
        effort.patience,
    )
    started = monotonic()
    passed: list[str] = []
    skipped: list[tuple[str, str]] = []
    violations: list[Violation] = []
    until = math.inf
    async with alarm(lambda: run.patience):
        for law in sorted(chosen, key=lambda law: law.name != _FIRST):
            missing = unmet(law.needs, run)
            if law.name in skip:
                skipped.append((law.name, "as asked"))
            elif missing:
                skipped.append((law.name, f"the store is not said to be {missing}"))
            else:
                violation = None
                with anyio.move_on_at(until) as judging:
                    violation = await _try(law, run)
                if judging.cancelled_caught:
                    skipped.append((law.name, "the verdict was there, and time over"))
                elif violation:
                    violations.append(violation)
                else:
                    passed.append(law.name)
            if violations:
                # The verdict stands; what is left is to name the others soon.
                until = min(until, anyio.current_time() + _NAMING)
                least, times = _CONDEMNED
                run.patience = min(
                    effort.patience, max(least, times * run.pace.longest)
                )
    report = Report(
        tuple(sorted(passed)),
        tuple(sorted(violations, key=lambda violation: violation.law)),
        tuple(sorted(skipped)),
        run.seed,
        run.checked,
        round(monotonic() - started, 3),
    )
    if violations:
        raise ConformanceError(report)
    return report


def check_names(skip: Iterable[str], known: Iterable[str]) -> None:
    """
    Check that every name in *skip* is one of *known*.

    Raises:
        ValueError: One is not; the error lists those that are.
    """
    names = sorted(known)
    unknown = sorted(set(skip) - set(names))
    if unknown:
        raise ValueError(
            f"no law is called {', '.join(map(repr, unknown))}; the laws are: "
            f"{', '.join(names)}"
        )


async def _try(law: Law, run: Run) -> Violation | None:
    found: LawBrokenError | None = None
    async with anyio.create_task_group() as tasks:
        lab = Lab(run, law.name, tasks)
        try:
            await law.check(lab)
        except LawBrokenError as broken:
            found = broken
        finally:
            with anyio.CancelScope(shield=True):
                await lab.clean_up()
    if found is None:
        return None
    return Violation(law.name, law.sentence, law.contract, found.reason, found.history)
