"""`read_news`: promises that have changed, asked of a session, with their rows."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final, NamedTuple

from dp_backends.sql._rows import PromiseRow
from dp_backends.sql._sessions import Session
from dp_backends.sql._waits._waited_store import AskForChanges

__all__ = ["MOST", "News", "read_news"]

MOST: Final = 250
"""The most promises to look at at once, so that others are not held up."""


class News(NamedTuple):
    """
    Promises that have changed.

    Attributes:
        since: The point in the order of changes up to which was looked.
        rows: Their rows, durable.
        rest: The ids of others.
    """

    since: Any
    rows: Collection[PromiseRow]
    rest: Collection[bytes]


def read_news(changes: AskForChanges, session: Session) -> News:
    """Return what has changed; one that is over is pending here."""
    since, ids = changes(session)
    if not ids:
        return News(since, (), ())
    _, rows = session.read(ids[:MOST])
    session.make_durable(rows.values())
    return News(since, rows.values(), ids[MOST:])
