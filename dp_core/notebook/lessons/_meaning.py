"""
`meaning`: one text for all answers that mean the same.

A reader who writes ``"Dispose."``, ``dp.Dispose`` or ``dispose`` has understood the
same thing; so have those who write 4, 4.0 and ``"4"``, or True and ``"yes"``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Any, Final
from unicodedata import normalize

__all__ = ["meaning", "parts_of"]

_MODULE: Final = re.compile(r"(?:[^\W\d]\w*\.)+(?=[^\W\d]\w*$)")
_CALL: Final = re.compile(r"\(\)$")
_NO_WORD: Final = re.compile(r"[\W_]+")
_ARTICLE: Final = re.compile(r"^(?:an?|the) (?=.)")
_AROUND: Final = " \t\n.,;:!?\"'`"
_BETWEEN: Final = re.compile(r"\s*[,;\n]\s*|\s+and\s+")
_BRACKETS: Final = "()[]{}"
_SYNONYMS: Final = {"true": "yes", "false": "no", "null": "none"}


def meaning(answer: object) -> str:
    """Return a text that is the same for all answers that mean the same."""
    for kind, say in _MEANINGS.items():
        if isinstance(answer, kind):
            return say(answer)
    if is_dataclass(answer):
        return _of_dataclass(answer)
    return _of_text(getattr(answer, "__name__", None) or repr(answer))


def parts_of(answer: object) -> list[Any]:
    """Return the parts of an answer that may have several: ``a, b`` has two."""
    if isinstance(answer, str):
        inside = answer.strip().strip(_BRACKETS)
        return [part for part in _BETWEEN.split(inside) if part.strip()]
    if isinstance(answer, list | tuple | AbstractSet | range | Mapping):
        return list(answer)
    return [answer]


def _of_text(text: str) -> str:
    bare = normalize("NFKC", text).casefold().strip(_AROUND)
    try:
        return _of_number(Decimal(bare))
    except InvalidOperation:
        name = _MODULE.sub("", _CALL.sub("", bare))
        words = _ARTICLE.sub("", _NO_WORD.sub(" ", name).strip())
        # What has no letters at all means what it is.
        return _SYNONYMS.get(words, words) or text.strip()


def _of_number(number: Decimal) -> str:
    # 4, 4.0 and 40E-1 in one form; a huge exponent is not written out.
    sign, digits, exponent = number.as_tuple()
    if not isinstance(exponent, int):
        return str(number)
    text = "".join(map(str, digits)).lstrip("0")
    short = text.rstrip("0")
    return f"{'-' * bool(sign and short)}{short or '0'}e{_scale(text, short, exponent)}"


def _scale(text: str, short: str, exponent: int) -> int:
    return exponent + len(text) - len(short) if short else 0


def _of_dataclass(answer: Any) -> str:
    name = _of_text(type(answer).__name__)
    members = {one.name: getattr(answer, one.name) for one in fields(answer)}
    # `Pending()` means what "pending" means.
    return name + meaning(members) if members else name


def _of_mapping(answer: Any) -> str:
    pairs = sorted(f"{meaning(key)}:{meaning(answer[key])}" for key in answer)
    return f"{{{','.join(pairs)}}}"


_MEANINGS: Final[dict[Any, Callable[[Any], str]]] = {
    type(None): lambda _: "none",
    type: lambda answer: _of_text(answer.__name__),
    BaseException: lambda answer: _of_text(type(answer).__name__),
    Enum: lambda answer: _of_text(answer.name),
    bool: lambda answer: "yes" if answer else "no",
    int: lambda answer: _of_number(Decimal(answer)),
    float: lambda answer: _of_number(Decimal(repr(answer))),
    Decimal: _of_number,
    str: _of_text,
    bytes: lambda answer: _of_text(answer.decode(errors="replace")),
    Mapping: _of_mapping,
    AbstractSet: lambda answer: f"{{{','.join(sorted(map(meaning, answer)))}}}",
    list | tuple | range: lambda answer: f"[{','.join(map(meaning, answer))}]",
}
"""The first that fits counts: a bool is an int, too."""
