"""`Question` and `check`: predictions and exercises, with instant answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import EllipsisType
from typing import Any, Final, final

from dp_core._states import Pending, Rejected, Resolved
from dp_core.notebook.pictures import (
    STYLES,
    Element,
    StateStyle,
    bundle,
    pill,
    show,
)

__all__ = ["Question", "check"]

_OPEN: Final = replace(STYLES[Pending], word="open")
_RIGHT: Final = replace(STYLES[Resolved], word="right")
_WRONG: Final = replace(STYLES[Rejected], word="not so")


@final
class Question:
    """
    A question to answer before running a cell, and to come back to after it.

    Args:
        text: The question.
        answers: The possible answers, each by a letter.
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
        rows = [
            Element("div", Element("b", a), f"\xa0 {text}", style="margin-left:1em")
            for a, text in self._answers.items()
        ]
        html = Element("div", Element("b", self._text), *rows, Element("i", said))
        show(bundle("\n".join([*plain, said]), html))

    def reveal(self, letter: str) -> None:
        """
        Compare the prediction with the answer that the run gave.

        Args:
            letter: That answer.
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
        attempt: The reader's solution; ``...`` or None if there is none yet.
        wanted: The solution, or a function that recognises one.
        advice: A hint, shown if it is wrong.
    """
    if attempt is None or isinstance(attempt, EllipsisType):
        _say(_OPEN, "Not tried yet.")
        return
    right = bool(wanted(attempt) if callable(wanted) else attempt == wanted)
    _say(_RIGHT if right else _WRONG, f"{attempt!r}. {'' if right else advice}".strip())


def _say(style: StateStyle, text: str) -> None:
    html = Element("div", pill(style), f" {text}")
    show(bundle(f"{style.shape} {style.word}: {text}", html))
