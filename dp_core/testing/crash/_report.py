"""What a crash sweep found: kills, and the laws that were broken."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final, final

from dp_core.testing.crash._victims import Point
from dp_core.testing.kit import CANCEL, NO_LOST_WAKE_UP, STANDS, SURVIVES, Violation

__all__ = [
    "KEEPS",
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
WAKES: Final = "a-crash-loses-no-wake-up"

_LAWS: Final = {
    KEEPS: (
        "What a killed process had acknowledged, and what anybody had seen, is there.",
        SURVIVES,
    ),
    TORN: (
        "After a kill a promise is as the operation found it, or as it was to be.",
        CANCEL,
    ),
    VANISHED: ("What is seen after a kill never changes again.", STANDS),
    STUCK: (
        "After a kill others settle the promise promptly and are told the same.",
        CANCEL,
    ),
    WAKES: (
        "Who waits in another process is told, although the settling one is killed.",
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
    What a sweep did and found.

    Attributes:
        kills: Scenario and point of each kill.
        missed: Where a process ended before it came to the point, as may
            happen where threads take turns.
        violations: What was broken, with its history.
        seconds: How long the sweep took.
    """

    kills: tuple[tuple[str, Point], ...]
    missed: tuple[tuple[str, Point], ...]
    violations: tuple[Violation, ...]
    seconds: float

    @property
    def points(self) -> dict[str, int]:
        """How many kills there were in each scenario."""
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
    A crash broke a law; the text says which, and how it came to it.

    Attributes:
        report: What the sweep did and found.
    """

    def __init__(self, report: CrashReport) -> None:
        super().__init__(report)
        self.report = report
