"""`time`, `seconds`: times as people type them; `brief` shows a length of time."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from itertools import pairwise
from math import isfinite
from typing import Final

import click

from dp_core._errors import InvalidTermsError
from dp_core._text import quoted, read_number
from dp_core.wire import read_moment

__all__ = ["brief", "read_time", "seconds", "time"]

_UNITS: Final = {
    "weeks": "w",
    "days": "d",
    "hours": "h",
    "minutes": "m(?:in)?",
    "seconds": "s",
    "milliseconds": "ms",
}
"""``{argument of timedelta: its sign}``, from the longest to the shortest."""

_LENGTH: Final = re.compile(
    "".join(
        rf"(?:(?P<{name}>[0-9]{{1,12}}(?:\.[0-9]{{1,9}})?)\ ?{sign}\ ?)?"
        for name, sign in _UNITS.items()
    )
)

_LIKE_A_MOMENT: Final = re.compile(r"[0-9]{4}-")

_FORMS: Final = (
    "write a length of time, such as 3d, 2h30m or 90s, or a moment with its zone, such "
    "as 2026-11-26T14:30:00Z"
)


def read_time(text: str) -> timedelta | datetime:
    """
    Return the length of time, or the moment, that a text says.

    A length has units from w to ms, the longest first: ``3d``, ``2h30m``, ``1.5h``. A
    moment is that of RFC 3339, with its zone.

    Raises:
        ValueError: It says neither; the error shows both forms.
    """
    text = text.strip()
    if _LIKE_A_MOMENT.match(text):
        try:
            return read_moment(text)
        except InvalidTermsError as error:
            raise ValueError(error.reason) from None
    try:
        length = _read_length(text)
    except OverflowError:
        raise ValueError(f"{quoted(text)} is too long; {_FORMS}") from None
    if length is None:
        raise ValueError(f"{quoted(text)} is not a valid time; {_FORMS}")
    return length


def _read_length(text: str) -> timedelta | None:
    """Return the length of time that a text says in units; None if it says none."""
    match = _LENGTH.fullmatch(text)
    parts = match.groupdict() if match else {}
    found = {name: float(part) for name, part in parts.items() if part is not None}
    return timedelta(**found) if found else None


def time(
    ctx: click.Context, parameter: click.Parameter, text: str | None
) -> timedelta | datetime | None:
    """Read an option's value by `read_time`."""
    try:
        return None if text is None else read_time(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def seconds(
    ctx: click.Context, parameter: click.Parameter, text: str | None
) -> float | None:
    """Read an option's value: a number of seconds, or a length of time in units."""
    if text is None:
        return None
    try:
        length = _read_length(text.strip())
        value = read_number(text.strip()) if length is None else length.total_seconds()
    except (ValueError, OverflowError):
        value = -1
    if not (isfinite(value) and value >= 0):
        raise click.BadParameter(
            f"{quoted(text)} is not a valid length of time; write seconds, such as 30 "
            "or 0.5, or units, such as 10m"
        )
    return value


def brief(length: timedelta) -> str:
    """Return a length of time in one or two units, rounded: ``2d23h``, ``12s``."""
    seconds = max(0, round(length.total_seconds()))
    for (size, sign), (smaller, next_sign) in pairwise(_SIZES):
        if seconds >= size:
            whole, rest = divmod(round(seconds / smaller), size // smaller)
            two = rest and whole < _MANY
            return f"{whole}{sign}{rest}{next_sign}" if two else f"{whole}{sign}"
    return f"{seconds}s"


_SIZES: Final = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))
_MANY: Final = 100
"""From so many days on, hours are of no interest."""
