"""Predictions and exercises: what a lesson asks, and what it says to the answer."""

from __future__ import annotations

from collections.abc import Callable
from types import EllipsisType
from typing import Any, final

from dp_core._display import LOOKS, Look, escape, pill
from dp_core._states import Pending, Rejected, Resolved
from dp_core.notebook._screen import show

__all__ = ["Question", "check"]

_OPEN = Look(LOOKS[Pending].shape, "open", LOOKS[Pending].ink, LOOKS[Pending].paper)
_RIGHT = Look("✔", "right", LOOKS[Resolved].ink, LOOKS[Resolved].paper)
_WRONG = Look("✘", "not so", LOOKS[Rejected].ink, LOOKS[Rejected].paper)


@final
class Question:
    """
    A question to answer before running a cell, and to come back to after it.

    Args:
        text: The question.
        answers: What one may answer, by its letter.
    """

    def __init__(self, text: str, **answers: str) -> None:
        self._text = text
        self._answers = answers
        self._guess = ""

    def guess(self, letter: str) -> None:
        """Note a prediction; an empty one leaves it open."""
        if letter and letter not in self._answers:
            raise ValueError(f"the answers are {', '.join(self._answers)}")
        self._guess = letter
        plain = [self._text, *(f"  {a}  {text}" for a, text in self._answers.items())]
        said = f"Your prediction: {letter}" if letter else "No prediction yet."
        rows = "".join(
            f"<div style='margin-left:1em'><b>{a}</b>&nbsp; {escape(text)}</div>"
            for a, text in self._answers.items()
        )
        show(
            {
                "text/plain": "\n".join([*plain, said]),
                "text/html": (
                    f"<div><b>{escape(self._text)}</b>{rows}<i>{escape(said)}</i></div>"
                ),
            }
        )

    def reveal(self, letter: str) -> None:
        """
        Compare the prediction with what happened.

        Args:
            letter: The answer that the run gave.
        """
        happened = f"It is {letter}: {self._answers[letter]}"
        if not self._guess:
            _say(_OPEN, f"You made no prediction. {happened}")
        elif self._guess == letter:
            _say(_RIGHT, f"You predicted {letter}. {happened}")
        else:
            _say(_WRONG, f"You predicted {self._guess}. {happened}")


def check(
    attempt: Any, wanted: Any | Callable[[Any], bool], advice: str = "Try again."
) -> None:
    """
    Say at once whether the solution of an exercise is right.

    Args:
        attempt: The reader's; ``...`` or None if there is none yet.
        wanted: What it should be, or a function that tells.
        advice: What to say if it is not.
    """
    if attempt is None or isinstance(attempt, EllipsisType):
        _say(_OPEN, "Not tried yet.")
        return
    right = bool(wanted(attempt) if callable(wanted) else attempt == wanted)
    _say(_RIGHT if right else _WRONG, f"{attempt!r}. {'' if right else advice}".strip())


def _say(look: Look, text: str) -> None:
    show(
        {
            "text/plain": f"{look.shape} {look.word}: {text}",
            "text/html": f"<div>{pill(look)} {escape(text)}</div>",
        }
    )
