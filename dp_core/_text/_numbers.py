"""`read_number`, `read_whole`: numbers in text of others, in plain ASCII digits."""

from __future__ import annotations

import re
from typing import Final

from dp_core._text._safe_to_show import quoted

__all__ = ["read_number", "read_whole"]

# Python's own functions also take "1_0", blanks around it, digits of all scripts, and
# names such as "nan"; and a number of a million digits costs them seconds.
_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,400}")
_NUMBER: Final = re.compile(
    r"[+-]?(?:[0-9]{1,400}(?:\.[0-9]{0,400})?|\.[0-9]{1,400})(?:[eE][+-]?[0-9]{1,9})?"
)


def read_number(text: str) -> float:
    """
    Return the number that a text says: ``30``, ``0.5``, ``1e3``.

    Nothing is around it. It is infinite where it is beyond what a float can be.

    Raises:
        ValueError: It says none; the error says what does.
    """
    if _NUMBER.fullmatch(text):
        return float(text)
    raise ValueError(
        f"{quoted(text)} is not a valid number; write digits from 0 to 9, such as 30 "
        "or 0.5"
    )


def read_whole(text: str) -> int:
    """
    Return the whole number that a text says: ``30``, ``-1``. Nothing is around it.

    Raises:
        ValueError: It says none; the error says what does.
    """
    if _WHOLE.fullmatch(text):
        return int(text)
    raise ValueError(
        f"{quoted(text)} is not a valid whole number; write digits from 0 to 9, such "
        "as 30"
    )
