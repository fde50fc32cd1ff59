"""`Judge`: tries laws on a store, one after another, and makes the report."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass
from time import monotonic
from typing import Final, TypeAlias

import anyio

from dp_core.testing.kit._context import LawContext
from dp_core.testing.kit._law import Law
from dp_core.testing.kit._report import (
    LawBrokenError,
    NotJudgedError,
    Report,
    StoreGoneError,
    Violation,
)
from dp_core.testing.kit._run import ConformanceRun
from dp_core.testing.kit._watchdog import watchdog

__all__ = ["IsThere", "Judge", "Progress", "check_names"]

IsThere: TypeAlias = Callable[[], Awaitable[bool]]
"""A function that asks a store for what laws ask for, and tells whether it did it."""

Progress: TypeAlias = Callable[[int, int, str], None]
"""A function that is told, before each law: its number, how many, and its name."""

_LEAST_PATIENCE: Final = 0.5
_SLOWEST_CALLS: Final = 10
"""The time for a call once a law is broken, in durations of the slowest so far."""

_FIRST: Final = "peek-never-blocks"
"""All laws peek, all the time: where that blocks, they would take hours."""


class Judge:
    """
    Tries laws on one store.

    The verdict is clear as soon as one law is broken. Then the others get less
    time, so that a backend that hangs everywhere is judged soon. A law for which
    that was too little is tried again at the end, with all the time there is: no law
    is named because the machine is slow, or because the store polls. Nor is one named
    in which a call said that the store was away, if it holds once the store is back.

    Args:
        run: State that the laws share.
        skip: Names of laws to leave out.
        naming: How long the other laws may take together once one is broken,
            in seconds.
        is_there: Asked when a law is broken; one that cannot be asked is not judged.
        progress: Told before each law; one that is tried once more counts twice.
    """

    def __init__(
        self,
        run: ConformanceRun,
        skip: Collection[str] = (),
        naming: float = 60.0,
        is_there: IsThere | None = None,
        progress: Progress | None = None,
    ) -> None:
        self._is_there = is_there
        self._progress = progress
        self._run = run
        self._skip = skip
        self._naming = naming
        self._started = monotonic()
        self._deadline = math.inf
        self._passed: list[str] = []
        self._skipped: list[tuple[str, str]] = []
        self._violations: list[Violation] = []
        self._again: list[Law] = []

    async def try_all(self, laws: Iterable[Law]) -> None:
        """
        Try every law of *laws* that applies to the store.

        Raises:
            StoreGoneError: The store is not there any more.
        """
        run = self._run
        with watchdog(lambda: run.patience):
            laws = list(laws)
            if any(law.needs & {"terms", "listing", "watch"} for law in laws):
                with anyio.move_on_after(run.patience):
                    await run.ask()
            ordered = sorted(laws, key=lambda law: law.name != _FIRST)
            for number, law in enumerate(ordered, 1):
                self._tell(number, len(ordered), law)
                await self._try(law)
                if self._violations:
                    self._hurry()
            run.patience = run.effort.patience
            count = len(ordered) + len(self._again)
            for number, law in enumerate(self._again, len(ordered) + 1):
                self._tell(number, count, law)
                await self._try(law, is_last=True)

    def _tell(self, number: int, count: int, law: Law) -> None:
        if self._progress is not None:
            self._progress(number, count, law.name)

    def report(self) -> Report:
        """Return the report on all laws that were tried so far."""
        return Report(
            tuple(sorted(self._passed)),
            tuple(sorted(self._violations, key=lambda violation: violation.law)),
            tuple(sorted(self._skipped)),
            self._run.seed,
            self._run.checked,
            round(monotonic() - self._started, 3),
        )

    async def _try(self, law: Law, *, is_last: bool = False) -> None:
        if reason := self._reason_to_skip(law):
            self._skipped.append((law.name, reason))
            return
        found = _Attempted()
        with anyio.CancelScope(deadline=self._deadline) as scope:
            found = await _try_once(law, self._run)
        violation = found.violation
        if scope.cancelled_caught:
            self._skipped.append((law.name, "another law is broken, and time is over"))
        elif violation is None:
            self._passed.append(law.name)
        elif self._is_there is not None and not await self._is_there():
            raise StoreGoneError(self.report())
        elif not is_last and self._is_worth_another(found):
            self._again.append(law)
        elif isinstance(violation, NotJudgedError):
            self._skipped.append((law.name, violation.reason))
        else:
            self._violations.append(violation)

    def _reason_to_skip(self, law: Law) -> str:
        if law.name in self._skip:
            return "as asked"
        return law.unmet(self._run)

    def _is_worth_another(self, found: _Attempted) -> bool:
        """Return whether a law may be broken only for what passes."""
        if found.was_away and self._is_there is not None:
            return True
        return found.ran_out and self._run.patience < self._run.effort.patience

    def _hurry(self) -> None:
        run = self._run
        self._deadline = min(self._deadline, anyio.current_time() + self._naming)
        needed = max(_LEAST_PATIENCE, _SLOWEST_CALLS * run.tempo.longest)
        run.patience = min(run.effort.patience, needed)


@dataclass(frozen=True, slots=True)
class _Attempted:
    """
    Result of a law that was tried.

    Attributes:
        violation: How the store breaks it, if it does, or why that cannot be told.
        ran_out: Whether patience ran out, before the law was broken.
        was_away: Whether the store said that it could not be used.
    """

    violation: Violation | NotJudgedError | None = None
    ran_out: bool = False
    was_away: bool = False


async def _try_once(law: Law, run: ConformanceRun) -> _Attempted:
    """Try a law."""
    found: LawBrokenError | None = None
    ran_out = was_away = False  # Before the law was broken; later it says nothing.
    async with anyio.create_task_group() as tasks:
        context = LawContext(run, law.name, tasks)
        try:
            await law.check(context)
        except LawBrokenError as broken:
            found = broken
            ran_out, was_away = context.log.ran_out, context.log.was_away
        except NotJudgedError as reason:
            return _Attempted(reason, ran_out=True, was_away=context.log.was_away)
        finally:
            with anyio.CancelScope(shield=True):
                await context.clean_up()
    if found is None:
        return _Attempted()
    violation = Violation(
        law.name, law.sentence, law.contract, found.reason, found.history
    )
    return _Attempted(violation, ran_out, was_away)


def check_names(skip: Iterable[str], known: Iterable[str]) -> None:
    """
    Check that every name in *skip* is one of *known*.

    Raises:
        ValueError: A name is not; the error lists those that are.
    """
    names = sorted(known)
    unknown = sorted(set(skip) - set(names))
    if unknown:
        raise ValueError(
            f"no law is called {', '.join(map(repr, unknown))}; the laws are: "
            f"{', '.join(names)}"
        )
