"""Predictions and exercises are answered at once."""

from __future__ import annotations

from typing import Any

import pytest

from dp_core.notebook import Question, check


def test_predictions(capsys: pytest.CaptureFixture[str]) -> None:
    """A prediction is right, wrong or missing, and never stops the notebook."""
    question = Question("What?", a="this", b="that")
    said = []
    for guess in ("a", "b", ""):
        question.guess(guess)
        question.reveal("a")
        said.append(capsys.readouterr().out.splitlines()[-1])

    assert [
        "✔ right: You predicted a. It is a: this",
        "✘ not so: You predicted b. It is a: this",
        "○ open: You made no prediction. It is a: this",
    ] == said
    with pytest.raises(ValueError, match="the answers are a, b"):
        question.guess("c")


@pytest.mark.parametrize(
    ("attempt", "wanted", "said"),
    [
        (..., 1, "○ open: Not tried yet."),
        (None, 1, "○ open: Not tried yet."),
        (1, 1, "✔ right: 1."),
        (2, 1, "✘ not so: 2. Look again."),
        (0, lambda n: n < 1, "✔ right: 0."),
    ],
)
def test_exercises_are_checked_at_once(
    attempt: object, wanted: Any, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """An exercise is open, right, or wrong with advice."""
    check(attempt, wanted, "Look again.")

    assert said == capsys.readouterr().out.strip()
