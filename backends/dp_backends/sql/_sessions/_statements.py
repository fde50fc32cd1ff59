"""
`Statements`: those of a store, for each dialect of SQL.

Changes are written many at a time; `Dialect.source` says where their rows come from.
SQLite runs a prepared statement for each row, which costs it microseconds; PostgreSQL
takes all of them as arrays, because each statement costs a round trip.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, final

from dp_backends.sql._rows import DISPOSED, PENDING, RESOLVED, PromiseRow
from dp_backends.sql._schema import TAG_COLUMNS, Dialect, listed, make_tables

__all__ = ["Statements", "in_state"]


@final
class Statements:
    """The statements of a store in one dialect."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self.promises: Final = f"{dialect.schema}promises"
        self.tags: Final = f"{dialect.schema}tags"
        self.one: Final = dialect.one
        promises, tags, one = self.promises, self.tags, self.one
        columns = listed(PromiseRow._fields)
        tables = make_tables(dialect)
        # What makes the newest format out of each other, by its number; 0 is nothing.
        # A format is a number for one set of tables: who changes these adds a number,
        # and keeps a store of the one before in tests/backends/released.
        self.upgrades = {0: tables, **dialect.upgrade(tables)}
        self.read: Final = f"SELECT {columns} FROM {promises} WHERE id {dialect.among}"
        self.read_one: Final = f"SELECT {columns} FROM {promises} WHERE id = {one}"
        self.at: Final = f"SELECT {columns} FROM {promises} WHERE place {dialect.among}"
        self.upsert: Final = (
            f"INSERT INTO {promises} ({columns}) "
            + dialect.source(_types(dialect, PromiseRow._fields))
            + " ON CONFLICT (id) DO UPDATE SET "
            + listed([f"{name} = excluded.{name}" for name in PromiseRow._fields[1:]])
            + f" WHERE {promises}.version = excluded.version - 1"
        )
        self.write: Final = f"{self.upsert} RETURNING id, place, generation"
        types = _types(dialect, TAG_COLUMNS)
        self.tag: Final = (
            f"INSERT INTO {tags} ({listed(TAG_COLUMNS)}) {dialect.source(types)} "
            "ON CONFLICT DO NOTHING"
        )
        self.untag: Final = f"DELETE FROM {tags} WHERE {dialect.rows(types)}"
        self.due: Final = (
            f"SELECT id FROM {promises} WHERE state = {PENDING} "
            f"AND deadline <= {one} ORDER BY deadline LIMIT {one}"
        )
        self.next_due: Final = (
            f"SELECT min(deadline) FROM {promises} "
            f"WHERE state = {PENDING} AND deadline > {one}"
        )
        # The oldest come first. Never the last change: the next number is one more.
        self.forget: Final = (
            f"DELETE FROM {promises} WHERE place IN (SELECT place FROM {promises} "
            f"WHERE {in_state(DISPOSED)} ORDER BY place LIMIT {one}) "
            f"AND settled_at < {one} AND place <> (SELECT max(place) FROM {promises})"
        )

    @property
    def format(self) -> int:
        """The number of the newest format."""
        return len(self.upgrades)


def in_state(state: int) -> str:
    """Return the condition for rows in a state, so that its index is used if any is."""
    # SQLite takes an index with a condition where it finds that very condition.
    return f"state = {state} AND state <> {RESOLVED}"


def _types(dialect: Dialect, names: Sequence[str]) -> dict[str, str]:
    return {name: dialect.types[name].split(" ")[0] for name in names}
