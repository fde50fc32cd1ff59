"""`Report`, `Violation` and `ConformanceError`: the results of a run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, final

__all__ = [
    "ConformanceError",
    "LawBrokenError",
    "NotJudgedError",
    "Report",
    "StoreGoneError",
    "Violation",
]


@final
@dataclass(frozen=True, slots=True)
class Violation:
    """
    One law that does not hold.

    Attributes:
        law: The law's name.
        sentence: The demand of the law.
        contract: The sentence of the backend contract that it spells out.
        reason: The observation that contradicts it.
        history: The calls that show it, in order, one line each.
    """

    law: str
    sentence: str
    contract: str
    reason: str
    history: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "\n".join(
            [
                f"{self.law}: {self.sentence}",
                f"    contract: {self.contract}",
                f"    seen:     {self.reason}",
                *(f"      {line}" for line in self.history),
            ]
        )


@final
@dataclass(frozen=True, slots=True)
class Report:
    """
    The result of a run of the kit.

    Attributes:
        passed: The names of the laws that hold.
        violations: The laws that do not.
        skipped: ``(law, reason)`` of those that were not tried, or could not be judged.
        seed: Repeats the run's random choices.
        histories: How many concurrent histories were recorded and checked.
        seconds: How long the run took.
    """

    passed: tuple[str, ...]
    violations: tuple[Violation, ...]
    skipped: tuple[tuple[str, str], ...]
    seed: int
    histories: int
    seconds: float

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        for violation in self.violations:
            yield f"{violation}\n"
        for reason in dict.fromkeys(why for _, why in self.skipped):
            names = ", ".join(name for name, why in self.skipped if why == reason)
            yield f"skipped {names}: {reason}"
        yield (
            f"{len(self.passed)} laws hold, {len(self.violations)} are broken, "
            f"{len(self.skipped)} were skipped; {self.histories:,} histories, "
            f"seed {self.seed}, {self.seconds:.1f} s"
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain JSON values."""
        return asdict(self) | {"ok": not self.violations}


class ConformanceError(AssertionError):
    """
    A backend broke laws of the kit; the text names each, with its history.

    Attributes:
        report: The result of the run.
    """

    def __init__(self, report: Report) -> None:
        super().__init__(report)
        self.report = report

    @property
    def violations(self) -> tuple[Violation, ...]:
        """The laws that do not hold."""
        return self.report.violations

    def __str__(self) -> str:
        names = ", ".join(violation.law for violation in self.violations)
        return f"broken: {names}\n\n{self.report}"


class StoreGoneError(Exception):
    """
    A store could be used at first, and cannot be any more.

    Attributes:
        report: The result of the laws that were tried before.
    """

    def __init__(self, report: Report) -> None:
        super().__init__(report)
        self.report = report

    def __str__(self) -> str:
        return "the store cannot be used any more"


class LawBrokenError(Exception):
    """
    Ends the check of a law: it does not hold.

    Attributes:
        reason: The observation that contradicts it.
        history: The calls that show it, one line each.
    """

    def __init__(self, reason: str, history: tuple[str, ...] = ()) -> None:
        super().__init__(reason, history)
        self.reason = reason
        self.history = history


class NotJudgedError(Exception):
    """
    Ends the check of a law: the store gave no chance to see whether it holds.

    Attributes:
        reason: Why there was none, for the report.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
