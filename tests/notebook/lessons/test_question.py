"""Predictions: made by a word, compared with what happened, told to nobody else."""

from __future__ import annotations

import pytest

from dp_core.notebook import Question
from support.notebook.markup import assert_safe


def last(capsys: pytest.CaptureFixture[str]) -> str:
    """Return the last line that was shown."""
    return capsys.readouterr().out.splitlines()[-1]


def test_predictions_are_compared(capsys: pytest.CaptureFixture[str]) -> None:
    """A prediction is right or not so, and says what happened."""
    for guess, verdict in (("this", "✔ right"), ("that", "✘ not so")):
        question = Question(f"Compared {guess}?", this="one", that="the other")
        question.guess(guess)
        assert f"○ open: You predict {guess}. Now see what happens." == last(capsys)
        question.compare(this=True, that=False)
        assert f"{verdict}: You predicted {guess}. It is this: one" == last(capsys)


def test_nothing_is_told_without_a_prediction(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Run All leaves a question open; a later prediction, or `reveal`, tells."""
    question = Question("Open?", this="one", that="the other")

    question.guess()
    question.compare(that=True)
    said = capsys.readouterr().out
    assert 2 == said.count("○ open: ")
    assert "It is" not in said
    question.reveal()
    assert "○ open: You made no prediction. It is that: the other" == last(capsys)
    question.guess("this")
    assert "✘ not so: You predicted this. It is that: the other" == last(capsys)


def test_nothing_is_told_before_it_happened(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever asks too early is told to run first."""
    Question("Too early?", this="one", that="the other").reveal()

    assert "Nothing has happened yet" in last(capsys)


def test_a_prediction_survives_the_cell(capsys: pytest.CaptureFixture[str]) -> None:
    """A question that is asked again has the prediction that it had."""
    Question("Again?", this="one", that="the other").guess("this")
    again = Question("Again?", this="one", that="the other")

    again.guess()
    assert "You predict this" in last(capsys)
    again.compare(this=1)
    assert "✔ right" in last(capsys)


@pytest.mark.parametrize(
    ("word", "meant"),
    [("waits", "waits"), ("Waits.", "waits"), ("w", "waits"), ("'error'", "error")],
)
def test_words_are_read_with_good_will(
    word: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Case, quotation marks and the end of a word do not matter."""
    Question(f"Word {word}?", waits="it waits", error="an error").guess(word)

    assert f"You predict {meant}" in last(capsys)


@pytest.mark.parametrize("word", ["x", "!", "e"])
def test_other_words_change_nothing(
    word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A word that is no answer, or begins two, is said to be none; the rest stays."""
    question = Question(f"Other {word}?", error="an error", each="one each")
    question.guess("error")
    question.guess(word)

    assert "is not an answer here. Write error or each." in last(capsys)
    question.guess()
    assert "You predict error" in last(capsys)


@pytest.mark.parametrize("happened", [{}, {"this": True, "that": True}])
def test_a_run_may_decide_nothing(
    happened: dict[str, bool], capsys: pytest.CaptureFixture[str]
) -> None:
    """If none of the answers is what happened, or two are, it says so."""
    question = Question(f"Undecided {len(happened)}?", this="one", that="the other")
    question.guess("this")
    question.compare(**happened)

    assert "decides for none of the answers" in last(capsys)


def test_mistakes_of_authors() -> None:
    """A question needs two answers, and a comparison knows no others."""
    with pytest.raises(ValueError, match="at least two"):
        Question("One?", this="one")
    with pytest.raises(ValueError, match="not a valid answer: other"):
        Question("Which?", this="one", that="two").compare(other=True)
    assert ("text", "self") == Question("Any word?", text="a", self="b").words


def test_backticks_are_code() -> None:
    """In HTML, what is between backticks is code; in text it stays as it is."""
    question = Question("What does `f()` do?", it="returns `1`", odd="a ` alone <b>")

    shown = question._repr_mimebundle_()
    assert "<code>f()</code>" in shown["text/html"]
    assert "returns <code>1</code>" in shown["text/html"]
    assert "a ` alone &lt;b&gt;" in shown["text/html"]
    assert_safe(shown["text/html"])
    assert "What does `f()` do?" in shown["text/plain"]
