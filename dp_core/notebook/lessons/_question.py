"""
`Question`: a prediction before a run, and its comparison with what happened.

A prediction is a word behind ``%predict``. It is kept by the question's text, so that
it survives that the cell of the question runs again. Nothing is told without one,
unless the reader asks by `Question.reveal`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, final

from dp_core._text import shown
from dp_core.notebook.lessons._meaning import meaning
from dp_core.notebook.lessons._verdict import say, with_code
from dp_core.notebook.pictures import Element

__all__ = ["Question"]


@dataclass(slots=True)
class _Memory:
    """
    Prediction and outcome of a question, whichever object asks it.

    Attributes:
        guess: The predicted answer; empty if there is none.
        happened: The answer that the run gave; None before it.
    """

    guess: str = ""
    happened: str | None = None


_MEMORIES: Final[dict[str, _Memory]] = {}


@final
class Question:
    """
    A question to answer before running a cell, and to come back to after it.

    As the value of a cell it shows itself, with its answers.

    Args:
        text: The question.
        answers: The possible answers, each by a word.

    Raises:
        ValueError: There are fewer than two answers.
    """

    def __init__(self, text: str, /, **answers: str) -> None:
        if len(answers) < 2:
            raise ValueError("not a valid question: it needs at least two answers")
        self._text = text
        self._answers = answers
        self._memory = _MEMORIES.setdefault(f"{text}\n{answers}", _Memory())

    @property
    def words(self) -> tuple[str, ...]:
        """The words for its answers."""
        return tuple(self._answers)

    def guess(self, word: str = "") -> None:
        """
        Note a prediction, and show it; ``%predict`` calls it.

        Args:
            word: One of `words`, or the beginning of one; empty to keep what was
                predicted before.
        """
        if word and (found := self._find(word)) is None:
            say("open", f"{shown(word)} is not an answer here. Write {self._choices}.")
            return
        if word:
            self._memory.guess = found or ""
        if not self._memory.guess:
            say(
                "open",
                f"No prediction yet. Write {self._choices} at the end of the line, "
                "and run this cell.",
            )
        elif self._memory.happened is None:
            say("open", f"You predict {self._memory.guess}. Now see what happens.")
        else:
            self._tell()

    def compare(self, /, **happened: object) -> None:
        """
        Compare the prediction with what happened.

        Args:
            happened: For each answer, by its word, whether the run gave it; those
                that are left out are not given.

        Raises:
            ValueError: It is of another answer.
        """
        if unknown := happened.keys() - self._answers.keys():
            raise ValueError(f"not a valid answer: {', '.join(sorted(unknown))}")
        given = [word for word in self._answers if happened.get(word)]
        self._memory.happened = given[0] if len(given) == 1 else ""
        if self._memory.guess:
            self._tell()
        else:
            say(
                "open",
                "You have made no prediction. Make it now, and it is compared at once; "
                "or go on.",
            )

    def reveal(self) -> None:
        """Tell what happened, with or without a prediction."""
        if self._memory.happened is None:
            say("open", "Nothing has happened yet: run the cells below first.")
        else:
            self._tell()

    def _tell(self) -> None:
        guess, happened = self._memory.guess, self._memory.happened
        you = f"You predicted {guess}. " if guess else "You made no prediction. "
        if not happened:
            say("open", f"{you}This run decides for none of the answers: look at it.")
            return
        it_is = f"{you}It is {happened}: {self._answers[happened]}"
        if guess:
            say("right" if guess == happened else "not so", it_is)
        else:
            say("open", it_is)

    def _find(self, word: str) -> str | None:
        """Return the answer that a word means; None if it is none, or several."""
        said = meaning(word)
        means = {meaning(one): one for one in self._answers}
        if said in means:
            return means[said]
        begun = [one for text, one in means.items() if text.startswith(said)]
        return begun[0] if said and len(begun) == 1 else None

    @property
    def _choices(self) -> str:
        *others, last = self._answers
        return f"{', '.join(others)} or {last}"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        rows = [
            Element(
                "div",
                Element("b", word),
                "\xa0 ",
                *with_code(text),
                style="margin-left:1em",
            )
            for word, text in self._answers.items()
        ]
        title = Element("b", *with_code(self._text))
        return {
            "text/plain": repr(self),
            "text/html": str(Element("div", title, *rows)),
        }

    def __repr__(self) -> str:
        wide = max(map(len, self._answers))
        rows = [f"  {word:<{wide}}  {text}" for word, text in self._answers.items()]
        return "\n".join([self._text, *rows])
