"""`Table`: promises as rows for people; `described_info`: one promise, line by line."""

from __future__ import annotations

import shutil
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Final, final

from dp_core._states import Outcome, Pending, Rejected, Resolved
from dp_core._terms import PromiseInfo, Terms, state_name
from dp_core._text import visible
from dp_core.backend import now
from dp_core.cli._output import Colour, in_colour
from dp_core.cli._times import brief
from dp_core.wire import write_moment

__all__ = [
    "Table",
    "cut",
    "described_info",
    "in_state_colour",
    "width",
    "width_of_terminal",
    "wrapped",
]


# Terminals ------------------------------------------------------------------


def width_of_terminal() -> int | None:
    """Return the columns of the terminal that stdout is; None where it is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


_COLOURS: Final[Mapping[str, Colour]] = {
    "pending": "yellow",
    "resolved": "green",
    "rejected": "red",
}


def in_state_colour(state: str) -> str:
    """Return the name of a state in its colour."""
    return in_colour(state, _COLOURS.get(state))


# Widths ---------------------------------------------------------------------


def width(text: str) -> int:
    """Return the columns that a terminal takes for a text made `visible`."""
    return len(text) if text.isascii() else sum(map(_width_of, text))


def _width_of(char: str) -> int:
    # UAX 11, and marks that stand over what is before them.
    if unicodedata.category(char) in {"Mn", "Me"}:
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def cut(text: str, columns: int) -> str:
    """Return a text in at most so many columns; an ellipsis says that it was longer."""
    if width(text) <= columns:
        return text
    taken, room = 0, columns - 1
    for place, char in enumerate(text):
        taken += _width_of(char)
        if taken > room:
            return f"{text[:place]}…"[: max(columns, 0)]
    return text  # pragma: no cover - it is wider, so it was cut


def _padded(text: str, columns: int) -> str:
    return text + " " * (columns - width(text))


def wrapped(text: str, columns: int | None, indent: str) -> list[str]:
    """
    Return a text as lines that fit a terminal behind an indent; a long word is whole.

    Args:
        text: The text, made `visible`.
        columns: The width of the terminal; None where none is: one line.
        indent: The text before each line.
    """
    if columns is None:
        return [text] if text else []
    room = max(columns - width(indent), 20)
    lines: list[str] = []
    for word in text.split():
        if lines and width(lines[-1]) + 1 + width(word) <= room:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


# A table --------------------------------------------------------------------

_HEAD: Final = ("ID", "STATE", "SINCE", "DEADLINE", "OUTCOME, TAGS")
_FIXED: Final = (8, 10, 9)
"""The columns of the cells between the id and the last: no text there is longer."""
_GAP: Final = "  "
_MOST_OUTCOME: Final = 60
"""The most characters of an outcome in a table."""


@final
class Table:
    """
    Rows of promises, page by page: the first page decides how wide the ids are.

    Args:
        columns: The width of the terminal, to which rows are cut; None where none is.
        has_colours: Whether states have colours.
    """

    def __init__(self, columns: int | None, *, has_colours: bool = False) -> None:
        self._columns = columns
        self._has_colours = has_colours
        self._id_columns: int | None = None

    def rows(self, infos: Iterable[PromiseInfo[bytes]]) -> Iterator[str]:
        """Yield a row for each promise; for a terminal, the head before the first."""
        cells = [_cells(info) for info in infos]
        if self._id_columns is None:
            if not cells:
                return
            self._id_columns = self._columns_for([row[0] for row in cells])
            if self._columns is not None:
                yield self._row(_HEAD)
        for row in cells:
            yield self._row(row)

    def _columns_for(self, ids: list[str]) -> int:
        longest = max(2, *map(width, ids))
        if self._columns is None:
            return longest
        room = self._columns - sum(_FIXED) - len(_GAP) * (len(_HEAD) - 1)
        # What is left is for the last cell.
        return max(8, min(longest, room * 3 // 5))

    def _row(self, cells: tuple[str, ...]) -> str:
        id, *middle, last = cells
        id_columns = self._id_columns or 0
        if self._columns is not None:
            id = cut(id, id_columns)
        widths = (id_columns, *_FIXED)
        padded = [
            _padded(cell, columns)
            for cell, columns in zip((id, *middle), widths, strict=True)
        ]
        row = _GAP.join((*padded, last)).rstrip()
        if self._columns is not None:
            row = cut(row, self._columns)
        return self._painted(row, padded[0], middle[0]) if self._has_colours else row

    def _painted(self, row: str, id: str, state: str) -> str:
        """Return a row whose state, if that was not cut, has its colour."""
        if state == _HEAD[1]:
            return in_colour(row, "bold")
        before = f"{id}{_GAP}"
        after = row.removeprefix(before + state)
        if after == row:
            return row
        return f"{before}{in_state_colour(state)}{after}"


def _cells(info: PromiseInfo[bytes]) -> tuple[str, ...]:
    since = info.created_at if info.settled_at is None else info.settled_at
    words: list[str] = []
    if not isinstance(info.state, Pending):
        words.append(_outcome(info.state, _MOST_OUTCOME))
        words.append(_settler(info))
    deadline = None
    if info.terms is not None:
        words += [visible(f"{key}={of}") for key, of in info.terms.tags.items()]
        deadline = info.terms.deadline if isinstance(info.state, Pending) else None
    return (
        visible(info.id),
        state_name(info.state),
        "" if since is None else f"{brief(now() - since)} ago",
        "" if deadline is None else _until(deadline),
        " ".join(filter(None, words)),
    )


def _until(deadline: datetime) -> str:
    left = deadline - now()
    return f"in {brief(left)}" if left.total_seconds() > 0 else "is over"


def _settler(info: PromiseInfo[bytes]) -> str:
    if info.expired:
        return "by its deadline"
    return "" if info.settled_by is None else f"by {visible(info.settled_by)}"


def _outcome(outcome: Outcome[bytes], limit: int) -> str:
    """Return the beginning of an outcome on one line; an ellipsis is for the rest."""
    match outcome:
        case Resolved(value):
            # Four bytes a character at most; one may be cut in two.
            text = value[: 4 * limit + 4].decode(errors="replace")
        case Rejected(error):  # pragma: no branch - the other one
            text = error
    return visible(text if len(text) <= limit else f"{text[: limit - 1]}…")


# One promise ----------------------------------------------------------------

_MOST: Final = 2000
"""The most characters of a value where it is one of many lines; `dp peek` has all."""


def described_info(
    info: PromiseInfo[bytes], *, has_colours: bool = False
) -> Iterator[str]:
    """Yield what is known about a promise, a line for each fact."""
    for name, text in _facts(info):
        if has_colours:
            shown = in_state_colour(text) if name == "state" else text
            yield f"{in_colour(f'{name:<10}', 'dim')} {shown}"
        else:
            yield f"{name:<10} {text}"


def _facts(info: PromiseInfo[bytes]) -> Iterator[tuple[str, str]]:
    yield "id", visible(info.id)
    yield "state", state_name(info.state)
    match info.state:
        case Resolved():
            yield "value", _whole(info.state)
        case Rejected():
            yield "error", _whole(info.state)
    if info.terms is not None:
        yield from _terms_facts(info, info.terms)
    for name, moment, by in (
        ("created", info.created_at, ""),
        ("settled", info.settled_at, _settler(info)),
    ):
        if moment is not None:
            ago = f"{write_moment(moment)} ({brief(now() - moment)} ago)"
            yield name, f"{ago} {by}".rstrip()


def _terms_facts(
    info: PromiseInfo[bytes], terms: Terms[bytes]
) -> Iterator[tuple[str, str]]:
    if terms.deadline is not None:
        until = f" ({_until(terms.deadline)})"
        is_pending = isinstance(info.state, Pending)
        yield "deadline", write_moment(terms.deadline) + until * is_pending
    if terms.otherwise is not None:
        yield (
            "otherwise",
            f"{state_name(terms.otherwise)} {_whole(terms.otherwise)}",
        )
    for key, of in terms.tags.items():
        yield "tag", visible(f"{key}={of}")
    if terms.data is not None:
        yield "data", _whole(Resolved(terms.data))
    for each in terms.notify:
        yield "notify", each.url


def _whole(outcome: Outcome[bytes]) -> str:
    return _outcome(outcome, _MOST)
