"""
`JsonNode`: JSON as a tree that a page shows, within bounds.

A page stays readable, and small, whatever somebody put into a promise: long texts and
lists are cut, what is deep is shown as JSON text, and all of it has a budget of bytes.
Cuts are marked, and `JsonTree.is_whole` says whether there were any.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, final

from markupsafe import escape

from dp_core._text import for_terminal, shortened, visible
from dp_core.values import encode

__all__ = ["JsonNode", "JsonTree", "tree_of"]

BUDGET_BYTES: Final = 24 * 1024
"""The most bytes that a tree takes on a page, about."""

MAX_DEPTH: Final = 8
"""The deepest that lists are shown in lists; what is below is JSON text."""

MAX_TEXT: Final = 4000
"""The longest text, in characters."""

_MAX_KEY: Final = 200
_EMPTY: Final = {dict: "an empty object", list: "an empty list"}

_BRANCH_BYTES: Final = 60
"""The markup around a node, about."""

Kind: TypeAlias = Literal["object", "list", "text", "word", "empty", "cut"]


@final
@dataclass(frozen=True, slots=True)
class JsonNode:
    """
    A value, as a page shows it.

    Attributes:
        kind: The kind of markup that it takes.
        text: The text of a leaf.
        children: The members of an object, or the items of a list, with their keys.
        left_out: How many more of them there are.
    """

    kind: Kind
    text: str = ""
    children: tuple[tuple[str, JsonNode], ...] = ()
    left_out: int = 0


@final
@dataclass(frozen=True, slots=True)
class JsonTree:
    """
    JSON, as a page shows it.

    Attributes:
        root: The value.
        is_whole: Whether all of it is there.
        size: The length of its JSON text in bytes.
    """

    root: JsonNode
    is_whole: bool
    size: int


def tree_of(value: object, size: int) -> JsonTree:
    """
    Return JSON as a tree.

    Args:
        value: The value.
        size: The length of its JSON text in bytes.
    """
    growing = _Growing()
    root = growing.node(value, 0)
    return JsonTree(root, growing.is_whole, size)


@dataclass
class _Growing:
    """
    A tree that is made.

    Attributes:
        left: The bytes that are left of the budget.
        is_whole: Whether nothing was cut so far.
    """

    left: int = BUDGET_BYTES
    is_whole: bool = True

    def node(self, value: object, depth: int) -> JsonNode:
        """Return a value and what is in it, as far as the budget allows."""
        if isinstance(value, str):
            return JsonNode("text", self._text(value, MAX_TEXT, for_terminal))
        if not isinstance(value, dict | list):
            return JsonNode("word", self._cut(encode(value, sys.maxsize).decode(), 100))
        if not value:
            return JsonNode("empty", self._cut(_EMPTY[type(value)], 100))
        if depth == MAX_DEPTH:
            text = encode(value, sys.maxsize).decode()
            return JsonNode("cut", self._text(text, _MAX_KEY, for_terminal))
        pairs = value.items() if isinstance(value, dict) else enumerate(value, start=1)
        children: list[tuple[str, JsonNode]] = []
        for key, item in pairs:
            if self.left <= 0:
                break
            name = self._text(str(key), _MAX_KEY, visible)
            children.append((name, self.node(item, depth + 1)))
        left_out = len(value) - len(children)
        self.is_whole = self.is_whole and not left_out
        kind: Kind = "object" if isinstance(value, dict) else "list"
        return JsonNode(kind, children=tuple(children), left_out=left_out)

    def _text(self, text: str, most: int, safe: Callable[[str], str]) -> str:
        """Return foreign text, made safe once it is short, as that takes long."""
        found = shortened(text, most)
        self.is_whole = self.is_whole and len(found) == len(text)
        return self._cut(safe(found), 2 * most)

    def _cut(self, text: str, most: int) -> str:
        """Return a text, or as much of it as there is room for."""
        # The shortest that a text of so many bytes can be.
        found = shortened(text, max(1, min(most, self.left)))
        size = len(escape(found).encode())
        if size > max(self.left, _BRANCH_BYTES):
            found = shortened(found, max(1, self.left * len(found) // size))
            size = len(escape(found).encode())
        self.is_whole = self.is_whole and len(found) == len(text)
        self.left -= size + _BRANCH_BYTES
        return found
