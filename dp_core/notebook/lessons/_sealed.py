"""
`Sealed`: an answer that a check knows, and the page does not say.

Of each part of the answer there is a hash of its meaning, with a salt, so that equal
answers of two exercises do not look alike. It hides the answer from a reader's eye,
and from nobody who wants to compute it.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, final

from dp_core._text import visible
from dp_core.notebook.lessons._meaning import meaning, parts_of

__all__ = ["Sealed", "seal"]

_FORM: Final = re.compile(
    r"(one|set|row|map)(\.[0-9a-f]{4})(\.[0-9a-f]{8}(-[0-9a-f]{8})?)+"
)


@final
@dataclass(frozen=True, slots=True)
class Sealed:
    """
    An answer that can be compared with, and not be read.

    Args:
        text: What `seal` has made.

    Raises:
        ValueError: It is something else.
    """

    text: str

    def __post_init__(self) -> None:
        if not isinstance(self.text, str) or not _FORM.fullmatch(self.text):
            raise ValueError("not a valid sealed answer; seal(answer) makes one")

    def __repr__(self) -> str:
        return f'Sealed("{self.text}")'

    def what_is_wrong(self, attempt: Any) -> str:
        """
        Say which part of an attempt is wrong: empty if it is right.

        What is right, or missing, is not told.
        """
        kind, salt, *hashes = self.text.split(".")
        return _COMPARE[kind](attempt, salt, hashes)


def seal(*answers: Any) -> Sealed:
    """
    Return an answer as `check` takes it, to write into a notebook.

    A set may be answered in any order, a list or tuple in its order alone, and a dict
    by key. Anything else is one answer; of several, any is right.

    Args:
        answers: The answer; or several, each of which is right.

    Raises:
        ValueError: There is none, or one that means “not tried yet”; or several that
            have parts.
    """
    if not answers or any(answer in (None, ...) for answer in answers):
        raise ValueError("not a valid answer: None and ... mean “not tried yet”")
    salt, first = secrets.token_hex(2), answers[0]
    kind = _kind(first)
    if kind == "one":
        hashes = sorted({_hash(salt, meaning(answer)) for answer in answers})
    elif len(answers) > 1:
        raise ValueError("not a valid answer: one that has parts is the only one")
    elif kind == "map":
        hashes = sorted(f"{_hash(salt, k)}-{_hash(salt, v)}" for k, v in _pairs(first))
    else:
        hashes = [_hash(salt, meaning(part)) for part in first]
        hashes = hashes if kind == "row" else sorted(set(hashes))
    return Sealed(".".join([kind, salt, *hashes]))


def _kind(answer: Any) -> str:
    if not isinstance(answer, Mapping | AbstractSet | list | tuple) or not answer:
        return "one"
    if isinstance(answer, Mapping):
        return "map"
    return "set" if isinstance(answer, AbstractSet) else "row"


def _hash(salt: str, text: str) -> str:
    return sha256(f"{salt}:{text}".encode(errors="replace")).hexdigest()[:8]


def _pairs(answer: Mapping[Any, Any]) -> list[tuple[str, str]]:
    return [(meaning(key), meaning(value)) for key, value in answer.items()]


def _one(attempt: Any, salt: str, hashes: list[str]) -> str:
    found = [attempt]
    if isinstance(attempt, list | tuple | AbstractSet) and len(attempt) == 1:
        found += attempt
    right = any(_hash(salt, meaning(one)) in hashes for one in found)
    return "" if right else "That is not it."


def _set(attempt: Any, salt: str, hashes: list[str]) -> str:
    parts = {_hash(salt, meaning(part)): part for part in parts_of(attempt)}
    extra = [visible(str(part)) for key, part in parts.items() if key not in hashes]
    missing = len(set(hashes) - set(parts))
    said = [f"Too much: {', '.join(sorted(extra))}."] if extra else []
    return " ".join([*said, *_lacks(missing)])


def _lacks(count: int) -> list[str]:
    # In words: a reader takes the number in "Missing: 2." for the part itself.
    return [f"{count} {'is' if count == 1 else 'are'} missing."] if count else []


def _row(attempt: Any, salt: str, hashes: list[str]) -> str:
    if isinstance(attempt, AbstractSet) and len(hashes) > 1:
        return "The order counts here, and a set has none: write a list."
    parts = parts_of(attempt)
    if len(parts) != len(hashes):
        return f"{len(hashes)} are asked for, and you have {len(parts)}."
    wrong = [
        str(place)
        for place, (part, wanted) in enumerate(zip(parts, hashes, strict=True), 1)
        if _hash(salt, meaning(part)) != wanted
    ]
    return f"Not right: number {', '.join(wrong)} of {len(parts)}." if wrong else ""


def _map(attempt: Any, salt: str, hashes: list[str]) -> str:
    if not isinstance(attempt, Mapping):
        return "Write a dict: {key: value}."
    wanted = dict(pair.split("-") for pair in hashes)
    names = {_hash(salt, meaning(key)): visible(str(key)) for key in attempt}
    found = {_hash(salt, k): _hash(salt, v) for k, v in _pairs(attempt)}
    extra = [names[key] for key in found if key not in wanted]
    wrong = [names[key] for key in found if wanted.get(key, found[key]) != found[key]]
    missing = len(wanted.keys() - found.keys())
    said = [f"Too much: {', '.join(sorted(extra))}."] if extra else []
    said += [f"Another value: {', '.join(sorted(wrong))}."] if wrong else []
    return " ".join([*said, *_lacks(missing)])


_COMPARE: Final[Mapping[str, Callable[[Any, str, list[str]], str]]] = {
    "one": _one,
    "set": _set,
    "row": _row,
    "map": _map,
}
