"""Mistakes in the SQLite store, each made by a change of one of its parts."""

from __future__ import annotations

from dp_backends.sql.sqlite._connection import SqliteSession
from dp_backends.sql.sqlite._log import Log
from mutants.sqlite.registry import Change, mutant


def _nothing(*args: object, **named: object) -> None:
    """Do nothing, whatever is to be done."""


@mutant
def reads_are_not_made_durable() -> list[Change]:
    """A row is shown as soon as it can be seen."""
    return [(Log, "make_durable", _nothing)]


@mutant
def connections_cross_forks() -> list[Change]:
    """A child has the parent's connection; nothing is looked after either."""
    return [
        (SqliteSession, "closes_at_fork", False),
        (SqliteSession, "_has_moved", lambda _: False),
    ]
