"""Callbacks of terms as JSON: URLs on the wire, with their deliveries in a store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dp_core._errors import InvalidTermsError
from dp_core._terms import Callback
from dp_core.values import check_text, decode, encode

__all__ = ["read_callbacks", "refuse_deliveries", "write_callbacks", "write_urls"]

_NOTIFY_BYTES: Final = 128 * 1024
"""More than the callbacks of a promise take in JSON."""


def write_callbacks(callbacks: Sequence[Callback]) -> bytes:
    """Return callbacks as a store keeps them, with the ids of their deliveries."""
    return encode([{"url": each.url, "delivery": each.delivery} for each in callbacks])


def write_urls(callbacks: Sequence[Callback]) -> bytes:
    """Return callbacks as anybody else may know of them."""
    return encode([each.url for each in callbacks])


def read_callbacks(text: bytes) -> tuple[Callback, ...]:
    """
    Return callbacks, from either form.

    Raises:
        InvalidTermsError: These are none.
        InvalidValueError: It is not JSON, or too long.
    """
    found = decode(check_text(text, _NOTIFY_BYTES))
    if not isinstance(found, list):
        raise _not_urls()
    return tuple(map(_callback, found))


def _callback(found: object) -> Callback:
    match found:
        case str():
            return Callback(found)
        case {"url": str(url), "delivery": str() | None as delivery}:
            return Callback(url, delivery)
    raise _not_urls()


def refuse_deliveries(callbacks: Sequence[Callback]) -> None:
    """
    Refuse callbacks whose deliveries are said by who asks for them.

    Raises:
        InvalidTermsError: One of them is.
    """
    if any(each.delivery is not None for each in callbacks):
        raise _not_urls()


def _not_urls() -> InvalidTermsError:
    return InvalidTermsError(
        "'notify' is an array of URLs, such as [\"https://example.com/hook\"]"
    )
