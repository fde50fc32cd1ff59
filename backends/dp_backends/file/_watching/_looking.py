"""`see_and_look`: looks at promises most of which are as they were."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from dp_backends.file._layout import Place
from dp_backends.file._read_batcher import Finding, look_at_all
from dp_backends.file._reading import Known
from dp_backends.file._store import FileStore
from dp_backends.file._watching._net import Seen, see

__all__ = ["Look", "see_and_look"]

Look: TypeAlias = tuple[FileStore, Place, Known | None]
"""A promise, and what is known of it if it was found pending."""


def see_and_look(
    directories: Iterable[str], looks: Sequence[Look]
) -> tuple[dict[str, Seen], list[Finding | Known]]:
    """
    See directories, and then look at promises, so that no change is in between.

    Returns:
        The directories, and what was found; what was known where that is still so.
    """
    return see(directories), _look_again(looks)


def _look_again(looks: Sequence[Look]) -> list[Finding | Known]:
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
