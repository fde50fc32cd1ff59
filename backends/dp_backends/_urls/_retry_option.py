"""`retry_of`: how long to try again while a server is away, as a URL says it."""

from __future__ import annotations

from math import isfinite
from typing import Final

from dp_core.backend import quoted, read_number

__all__ = ["RETRY_SECONDS", "retry_of"]

RETRY_SECONDS: Final = 10.0
"""Seconds for which to repeat a call whose caller sets no deadline."""


def retry_of(text: str | None) -> float:
    """
    Return the seconds that ``retry=`` of a URL says.

    Args:
        text: What the URL says; None for nothing.

    Raises:
        ValueError: It is not a number of seconds.
    """
    if text is None:
        return RETRY_SECONDS
    try:
        seconds = read_number(text)
    except ValueError:
        seconds = 0.0
    if not (isfinite(seconds) and seconds > 0):
        raise ValueError(
            f"retry={quoted(text)} is not a number of seconds above 0, such as 30 or "
            "0.5"
        )
    return seconds
