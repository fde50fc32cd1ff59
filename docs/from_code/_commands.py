"""`escape`, `as_code`: the help of ``dp``, plain text among reStructuredText."""

from __future__ import annotations

import re
from typing import Final

from dp_core import DEFAULT_URL

__all__ = ["as_code", "escape"]

_QUOTED: Final = re.compile(r'"(--?|dp [^"]*)"')
_REFERENCE: Final = re.compile(r"(?<=\w)_(?!\w)")


def escape(app: object, context: object, lines: list[str]) -> None:
    """
    Have the help of a command or of its options read as it is written.

    The default store would become a link, "--" a dash, and a word that ends in
    an underscore a reference.
    """
    lines[:] = [_escaped(line) for line in lines]


def as_code(app: object, context: object, lines: list[str]) -> None:
    """Have the examples at the end of a command's help read as code."""
    examples = [line.removeprefix("|").strip() for line in lines if line[:1] == "|"]
    if examples:
        code = (f"   {line}" for line in examples)
        lines[:] = ["Examples:", "", ".. code-block:: sh", "", *code, ""]


def _escaped(line: str) -> str:
    line = _QUOTED.sub(r"``\1``", _REFERENCE.sub(r"\\_", line))
    return line.replace(DEFAULT_URL, f"``{DEFAULT_URL}``")
