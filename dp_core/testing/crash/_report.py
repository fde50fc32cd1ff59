"""`CrashReport`: the kills of a sweep, and the laws that were broken."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final, final

from dp_core.testing.crash._victims import Point
from dp_core.testing.kit import (
    CANCEL,
    NO_LOST_WAKE_UP,
    RECOVERY,
    STAYS,
    SURVIVES,
    Violation,
)

__all__ = [
    "KEEPS",
    "RECOVERS",
    "STUCK",
    "TORN",
    "VANISHED",
    "WAKES",
    "CrashError",
    "CrashReport",
    "violation",
]

KEEPS: Final = "a-crash-loses-nothing-acknowledged"
TORN: Final = "a-crash-leaves-a-whole-state"
VANISHED: Final = "what-was-seen-stands"
STUCK: Final = "a-crash-leaves-nothing-stuck"
RECOVERS: Final = "a-handle-outlives-a-failed-fsync"
WAKES: Final = "a-crash-loses-no-wake-up"

_LAWS: Final = {
    KEEPS: (
        "An outcome that a killed process acknowledged, or anybody saw, is there.",
        SURVIVES,
    ),
    TORN: (
        "After a kill a promise is as it was before the operation, or as after it.",
        CANCEL,
    ),
    VANISHED: ("An outcome that is seen after a kill never changes again.", STAYS),
    STUCK: (
        "After a kill other processes settle the promise soon, with one outcome.",
        CANCEL,
    ),
    RECOVERS: (
        "After an fsync that failed the same handle goes on, and knows what is so.",
        RECOVERY,
    ),
    WAKES: (
        "A waiter in another process gets the outcome although its settler is killed.",
        NO_LOST_WAKE_UP,
    ),
}
_SHOWN: Final = 10


def violation(law: str, reason: str, history: tuple[str, ...]) -> Violation:
    """Return the violation of one of the laws above."""
    sentence, contract = _LAWS[law]
    return Violation(law, sentence, contract, reason, history)


@final
@dataclass(frozen=True, slots=True)
class CrashReport:
    """
    The result of a sweep.

    Attributes:
        kills: Scenario and point of each kill.
        missed: Points before which the process ended, as may happen where
            threads take turns.
        violations: The laws that were broken, with their histories.
        seconds: How long the sweep took.
    """

    kills: tuple[tuple[str, Point], ...]
    missed: tuple[tuple[str, Point], ...]
    violations: tuple[Violation, ...]
    seconds: float

    @property
    def points(self) -> dict[str, int]:
        """The number of kills in each scenario."""
        return dict(Counter(scenario for scenario, _ in self.kills))

    @property
    def broken(self) -> set[str]:
        """The names of the laws that do not hold."""
        return {violation.law for violation in self.violations}

    def __str__(self) -> str:
        return "\n".join(
            [
                *(f"{violation}\n" for violation in self.violations[:_SHOWN]),
                *(f"{count:6} {scenario}" for scenario, count in self.points.items()),
                f"{len(self.kills):6} kills in {self.seconds:.1f} s",
                f"{len(self.missed):6} missed",
                f"{len(self.violations):6} violations",
            ]
        )


class CrashError(AssertionError):
    """
    A crash broke a law; the text names it, with its history.

    Attributes:
        report: The result of the sweep.
    """

    def __init__(self, report: CrashReport) -> None:
        super().__init__(report)
        self.report = report
