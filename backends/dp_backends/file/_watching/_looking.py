"""`look_again`: looks at promises most of which are as they were."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from dp_backends.file._layout import Place
from dp_backends.file._read_batcher import Finding, look_at_all
from dp_backends.file._reading import Known
from dp_backends.file._store import FileStore

__all__ = ["Look", "look_again"]

Look: TypeAlias = tuple[FileStore, Place, Known | None]
"""A promise, and what is known of it if it was found pending."""


def look_again(looks: Iterable[Look]) -> list[Finding | Known]:
    """Look at each promise; return what was known where that is still so."""
    looks = list(looks)
    findings: list[Finding | Known | None] = [_still_so(look) for look in looks]
    others = look_at_all(
        (store, place)
        for (store, place, _), finding in zip(looks, findings, strict=True)
        if finding is None
    )
    rest = iter(others)
    return [next(rest) if finding is None else finding for finding in findings]


def _still_so(look: Look) -> Known | None:
    store, place, known = look
    try:
        if known is not None and store.is_as_known(place, known):
            return known
    except Exception:  # noqa: BLE001 - the look that follows meets it, and says so
        return None
    return None
