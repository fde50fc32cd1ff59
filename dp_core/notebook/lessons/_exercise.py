"""`check`: whether the solution of an exercise is right, said at once."""

from __future__ import annotations

from collections.abc import Callable
from types import EllipsisType
from typing import Any, Final

from dp_core._text import shortened, visible
from dp_core.notebook.lessons._sealed import Sealed
from dp_core.notebook.lessons._verdict import say

__all__ = ["check"]

_LIMIT: Final = 200


def check(
    attempt: Any,
    wanted: Sealed | Any | Callable[[Any], bool],
    advice: str = "Try again.",
) -> None:
    """
    Say at once whether the solution of an exercise is right.

    With a `Sealed` answer it accepts what means the same (in another case or order,
    a type for its name, a number as text), and says which part is wrong.

    Args:
        attempt: The reader's solution; ``...`` or None, or a list of nothing else, if
            there is none yet.
        wanted: The solution, sealed by `seal` so that the page does not say it; or
            plain; or a function that recognises one.
        advice: A hint, shown if it is wrong.
    """
    if _untried(attempt):
        say("open", "Not tried yet.")
        return
    shown = shortened(visible(repr(attempt)), _LIMIT)
    if isinstance(wanted, Sealed):
        wrong = wanted.what_is_wrong(attempt)
        right = not wrong
    else:
        wrong = ""
        right = bool(wanted(attempt) if callable(wanted) else attempt == wanted)
    more = [] if right else [text for text in (wrong, advice) if text]
    say("right" if right else "not so", " ".join([f"{shown}.", *more]))


def _untried(attempt: Any) -> bool:
    tries = attempt if isinstance(attempt, list | tuple) and attempt else [attempt]
    return all(one is None or isinstance(one, EllipsisType) for one in tries)
