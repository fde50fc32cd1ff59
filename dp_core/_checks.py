"""`Check`: something about a store that was looked at; `compare_clocks` makes one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, Self, TypeAlias, final, get_args

__all__ = ["Check", "CheckStatus", "compare_clocks"]

CheckStatus: TypeAlias = Literal["ok", "warning", "problem"]
"""From good to bad: nothing to do; it works, with a restriction; it does not work."""


@final
@dataclass(frozen=True, slots=True)
class Check:
    """
    Something that was looked at, and how it was found.

    Whoever shows one escapes it, so it may have text of strangers in it; but no
    passwords and no tokens.

    Attributes:
        name: The thing, in a word or two: "file system".
        status: How it is.
        text: What was found, in words for a person.
        advice: What to do about it; not empty where the status is not "ok".
    """

    name: str
    status: CheckStatus
    text: str
    advice: str = ""

    def __post_init__(self) -> None:
        if self.status not in get_args(CheckStatus):
            raise ValueError(
                f"{self.status!r} is not a valid status of a check; write one of "
                f"{', '.join(get_args(CheckStatus))}"
            )
        if self.status != "ok" and not self.advice:
            raise ValueError(
                f"the check {self.name!r} finds a {self.status}, and lacks an advice; "
                "say what to do about it"
            )

    @classmethod
    def failed(cls, name: str, error: Exception, advice: str) -> Self:
        """
        Return the problem that an error of this library is.

        Args:
            name: The thing that was looked at.
            error: The error. Behind a semicolon it says what to do.
            advice: What to do where it does not say it.
        """
        text, _, own = str(error).partition("; ")
        return cls(name, "problem", text, own or advice)


_DIFFERENT: Final = timedelta(seconds=5)
"""The difference of two clocks from which on people wonder."""


def compare_clocks(
    said: datetime, before: datetime, after: datetime, precision: timedelta
) -> Check:
    """
    Return how far the clock of a store is from that of this machine.

    Args:
        said: The time that the store said.
        before: When it was asked, by the clock of this machine.
        after: When it had answered.
        precision: The length of the steps in which the store says the time.
    """
    difference = said + precision / 2 - (before + (after - before) / 2)
    doubt = (after - before) / 2 + precision / 2
    seconds = difference.total_seconds()
    if abs(difference) - doubt <= _DIFFERENT:
        most = (abs(difference) + doubt).total_seconds()
        return Check(
            "clock",
            "ok",
            f"the store's and this machine's differ by {most:.1f} s at most",
        )
    where = "ahead of" if seconds > 0 else "behind"
    return Check(
        "clock",
        "warning",
        f"the store's clock is {abs(seconds):,.0f} s {where} this machine's, and it "
        "decides when deadlines are over",
        "let both be set by a time server (timedatectl)",
    )
