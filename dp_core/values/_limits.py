"""
`check_size`, and the other limits of values: their length and their depth.

What JSON they may have is in `_write_json`, and for what comes in, in `_read_json`.
"""

from __future__ import annotations

from typing import Final

from dp_core._errors import InvalidValueError

__all__ = ["MAX_DEPTH", "MAX_VALUE_BYTES", "TOO_DEEP", "check_size", "too_long"]

MAX_VALUE_BYTES: Final = 1024 * 1024
"""The default limit of a value's JSON text, in bytes of UTF-8."""

MAX_DEPTH: Final = 128
"""The deepest that arrays and objects may nest."""

TOO_DEEP: Final = f"it nests deeper than {MAX_DEPTH} levels, or holds itself"
"""The reason to give where that is exceeded."""


def check_size(text: bytes, limit: int) -> None:
    """
    Refuse JSON text of more than *limit* bytes.

    Raises:
        InvalidValueError: It is longer.
    """
    if len(text) > limit:
        raise InvalidValueError(
            "$", f"its JSON text has {len(text):,} bytes, {too_long(limit)}"
        )


def too_long(limit: int) -> str:
    """Return the reason for text of more than *limit* bytes, and what to do."""
    return (
        f"over the limit of {limit:,}; store the bulk elsewhere and settle with a "
        "reference"
    )
