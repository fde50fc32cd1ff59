"""The heading of a chart: which promises it is about, and what has become of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import count, product
from string import ascii_uppercase
from typing import Final

from dp_core.notebook._journal import PromiseKey
from dp_core.notebook.pictures._chart._lettering import fitted, lettering, width_of
from dp_core.notebook.pictures._look import shown
from dp_core.notebook.pictures._markup import Element
from dp_core.notebook.pictures._timeline import PromiseSummary

__all__ = ["heading", "letters_of"]

_LEFT: Final = 12.0
_TITLE: Final = 12.0
_SIZE: Final = 11.0
_LINE: Final = 16.0
_MOST: Final = 26
_TWO_COLUMNS: Final = 9
"""From how many promises on they are in two columns, and without their values."""


def letters_of(promises: Iterable[PromiseKey]) -> Mapping[PromiseKey, str]:
    """Return a letter for each promise; none where there is only one."""
    keys = list(promises)
    if len(keys) < 2:
        return {}
    words = (
        "".join(letters)
        for length in count(1)
        for letters in product(ascii_uppercase, repeat=length)
    )
    return dict(zip(keys, words, strict=False))


def heading(
    promises: Mapping[PromiseKey, PromiseSummary],
    letters: Mapping[PromiseKey, str],
    width: float,
) -> tuple[list[Element], float]:
    """Return the heading of a chart of some width, and where it ends."""
    if not letters:
        room = width - 2 * _LEFT
        texts = [
            lettering(_LEFT, 20, _named(promise, room, _TITLE), _TITLE, bold=True)
            for promise in promises.values()
        ]
        return texts, 28.0 if texts else 8.0
    listed = list(letters.items())[:_MOST]
    columns = 2 if len(listed) >= _TWO_COLUMNS else 1
    lines = -(-len(listed) // columns)
    room = (width - 2 * _LEFT) / columns
    texts = list(_listed(promises, listed, lines, room))
    bottom = 20 + _LINE * lines
    if left_out := len(letters) - len(listed):
        note = f"and {left_out:,} more promises, which the words below name"
        texts.append(lettering(_LEFT, bottom, note, _SIZE, ink="dim"))
        bottom += _LINE
    return texts, bottom - 8


def _listed(
    promises: Mapping[PromiseKey, PromiseSummary],
    listed: list[tuple[PromiseKey, str]],
    lines: int,
    room: float,
) -> Iterator[Element]:
    widest = max(width_of(letter, _SIZE) for _, letter in listed)
    for n, (key, letter) in enumerate(listed):
        column, line = divmod(n, lines)
        x, y = _LEFT + column * room, 20 + _LINE * line
        indent = widest + 8
        valued = len(listed) < _TWO_COLUMNS
        text = _named(promises[key], room - indent - 8, _SIZE, valued=valued)
        yield lettering(x, y, letter, _SIZE, bold=True)
        yield lettering(x + indent, y, text, _SIZE)


def _named(
    promise: PromiseSummary, room: float, size: float, *, valued: bool = True
) -> str:
    """Return id, state and value; the id has half, or what the value leaves."""
    state = f" {promise.style.shape}" + f" {promise.style.word}" * valued
    value = ": " if promise.text and valued else ""
    room -= width_of(state + value, size)
    wanted = width_of(shown(promise.text), size) if value else 0.0
    id = fitted(promise.key[1], size, room - min(room / 2, wanted))
    if value:
        value += fitted(promise.text, size, room - width_of(id, size))
    return f"{id}{state}{value}"
