"""Mistakes in the SQLite store, each made by a change of one of its parts."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from typing import Any

from dp_backends.sql import _backend
from dp_backends.sql._rows import PromiseRow
from dp_backends.sql._sessions import Values
from dp_backends.sql._working import _worker
from dp_backends.sql._working._batch import Calls
from dp_backends.sql.sqlite import _database, _session
from dp_backends.sql.sqlite._dialect import UPSERTS
from dp_backends.sql.sqlite._log import Log
from dp_backends.sql.sqlite._session import SqliteSession
from mutants.changes import Change, changed_during
from mutants.sqlite.registry import mutant


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


@mutant
def lists_are_not_made_durable() -> list[Change]:
    """A page shows rows as soon as they can be seen."""
    never = (SqliteSession, "make_durable", _nothing)
    return changed_during((_backend, "search"), never)


@mutant
def acknowledged_before_the_commit() -> list[Change]:
    """Callers are told as soon as their changes are written."""
    commit, real = SqliteSession.commit, _worker.run_batch
    # A batch of another handle may be under way in another thread.
    thread = threading.local()

    def run_batch(session: Any, calls: Calls, tell: Callable[[Calls], object]) -> None:
        thread.tell = lambda: tell(calls)
        real(session, calls, tell)

    def early(self: SqliteSession) -> None:
        thread.tell()
        commit(self)

    return [(_worker, "run_batch", run_batch), (SqliteSession, "commit", early)]


@mutant
def not_synced() -> list[Change]:
    """A commit does not wait for the disk."""
    prepare = _database._prepare

    def careless(database: Any, path: str) -> None:
        prepare(database, path)
        database.pragma("synchronous", "off")

    return [(_database, "_prepare", careless)]


@mutant
def each_change_is_a_commit() -> list[Change]:
    """A batch is not one transaction."""
    write_rows = SqliteSession.write_rows

    def one_by_one(self: SqliteSession, rows: Sequence[PromiseRow]) -> list[Values]:
        found: list[Values] = []
        for row in rows:
            found += write_rows(self, [row])
            self._connection.execute("COMMIT")
            self._connection.execute("BEGIN IMMEDIATE")
        return found

    return [(SqliteSession, "write_rows", one_by_one)]


@mutant
def changes_are_not_compared() -> list[Change]:
    """Who read a row and was overtaken overwrites what is there."""
    compared = "promises.version = excluded.version - 1"
    careless = {
        rows: statement.replace(compared, "true") for rows, statement in UPSERTS.items()
    }
    assert careless != UPSERTS
    return [(_session, "UPSERTS", careless)]


@mutant
def numbers_begin_anew() -> list[Change]:
    """Each process numbers its changes itself, from the number of rows on."""
    # Its numbers rise: a disposal that ends where it began would be done for ever.
    begin, changes = SqliteSession.begin, itertools.count()

    def begin_anew(self: SqliteSession) -> None:
        begin(self)
        ((count,),) = self.all("SELECT count(*) FROM promises WHERE state <> 3")
        self._highest = int(count) + next(changes)

    return [(SqliteSession, "begin", begin_anew)]
