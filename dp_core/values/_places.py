"""`json_path`: a place in a value, for people (RFC 9535)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from dp_core._text import quoted

__all__ = ["json_path", "key_step"]

_MAX_PLACE: Final = 200


def json_path(steps: Iterable[str]) -> str:
    """Return the JSONPath of a place, not too long; ``$`` is the value itself."""
    place = "$" + "".join(steps)
    if len(place) > _MAX_PLACE:
        place = f"{place[: _MAX_PLACE // 2]}…{place[-_MAX_PLACE // 2 :]}"
    return place


def key_step(key: str) -> str:
    """Return the step of a JSONPath that a key is."""
    is_plain = len(key) <= _MAX_PLACE and key.isidentifier()
    return f".{key}" if is_plain else f"[{quoted(key)}]"
