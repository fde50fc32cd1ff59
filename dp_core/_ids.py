"""`check_id`: the texts that can be ids of promises; `is_delivery`: which are ours."""

from __future__ import annotations

from typing import Final

from dp_core._errors import InvalidPromiseIdError
from dp_core._text import shortened

__all__ = ["DELIVERY_IDS", "MAX_ID_BYTES", "check_id", "is_delivery"]

MAX_ID_BYTES: Final = 1024
"""The longest id, in bytes of UTF-8."""

# Without a full stop, as the id is signed (Standard Webhooks, "Signature scheme").
DELIVERY_IDS: Final = "dp_delivery_"
"""The beginning of the ids of the library's own promises: deliveries of callbacks."""

_SHOWN: Final = 80


def is_delivery(id: str) -> bool:
    """Tell whether an id is that of a delivery."""
    return id.startswith(DELIVERY_IDS)


def check_id(id: str) -> bytes:
    """
    Return the id's UTF-8 bytes, by which alone ids are compared.

    Nothing is trimmed, folded or normalised.

    Raises:
        InvalidPromiseIdError: Not a string, empty, over 1,024 bytes, or with
            a NUL or a lone surrogate in it.
    """
    if not isinstance(id, str):
        raise InvalidPromiseIdError(id, "it is not a string")
    if len(id) > MAX_ID_BYTES:
        # Not measured in bytes, and not kept by the error: it may have gigabytes.
        raise InvalidPromiseIdError(
            shortened(id, _SHOWN), f"it has {len(id):,} characters"
        )
    try:
        raw = id.encode()
    except UnicodeEncodeError:
        raise InvalidPromiseIdError(
            id, "a lone surrogate is not Unicode text; remove it"
        ) from None
    if not raw:
        raise InvalidPromiseIdError(id, "it is empty")
    if len(raw) > MAX_ID_BYTES:
        raise InvalidPromiseIdError(id, f"it has {len(raw):,} bytes")
    if b"\0" in raw:
        raise InvalidPromiseIdError(id, "it contains NUL")
    return raw
