"""The preference to wait: ``Prefer: wait=SECONDS`` (RFC 7240 §4.3)."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["prefer_wait", "read_prefer"]

_PREFER: Final = re.compile(
    r"(?:^|[,;\s])wait\s*=\s*\"?([0-9]{1,9})\"?(?=$|[,;\s])", re.IGNORECASE
)


def read_prefer(header: str) -> int | None:
    """Return the seconds of ``Prefer: wait=SECONDS``, or None."""
    match = _PREFER.search(header)
    return int(match[1]) if match else None


def prefer_wait(seconds: int) -> str:
    """Return the value of a ``Prefer`` header that asks to wait *seconds*."""
    return f"wait={seconds}"
