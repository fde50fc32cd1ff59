"""
`Statements`: the schema and the statements of a store, for each dialect of SQL.

There are two tables. ``promises`` has a row for each promise that was ever heard of,
with the columns of `PromiseRow`. ``tags`` has one for each tag of those, so that they
can be found by it. `Dialect` says in what the databases differ; all else is said once.

Changes are written many at a time: ``many`` of a dialect is the source of their rows.
SQLite runs a prepared statement for each row, which costs it microseconds; PostgreSQL
takes all of them as arrays, because each statement costs a round trip.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

from dp_backends.sql._rows import DISPOSED, PENDING, RESOLVED, PromiseRow

__all__ = ["TAG_COLUMNS", "Dialect", "Statements", "in_state"]

TAG_COLUMNS: Final = ("key", "value", "state", "place")
"""The columns of the table of tags."""


@final
@dataclass(frozen=True, slots=True)
class Dialect:
    """
    A database's way to say things.

    Attributes:
        types: The types of the columns, by their names.
        schema: The prefix of the names of tables.
        suffixes: The ends of the statements that make the two tables.
        changed: The end of that which makes the index of changes: the condition that
            a row is in it, if not all are.
        upgrade: Returns the statements that make the newest format out of each older
            one, by its number, from those that make it out of nothing.
        one: A parameter.
        among: The condition to be one of a list of values, which is a parameter.
        source: Returns the query for rows to insert, from the types of their columns
            by name, in the order of the table's key.
        rows: Returns the condition that a row is one of those that are parameters.
    """

    types: dict[str, str]
    schema: str
    suffixes: tuple[str, str]
    changed: str
    upgrade: Callable[[Sequence[str]], Mapping[int, Sequence[str]]]
    one: str
    among: str
    source: Callable[[dict[str, str]], str]
    rows: Callable[[dict[str, str]], str]


@final
class Statements:
    """The statements of a store in one dialect."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self.promises: Final = f"{dialect.schema}promises"
        self.tags: Final = f"{dialect.schema}tags"
        self.one: Final = dialect.one
        promises, tags, one = self.promises, self.tags, self.one
        columns = _of(PromiseRow._fields)
        tables = (
            _table(
                dialect,
                promises,
                PromiseRow._fields,
                "PRIMARY KEY (place), UNIQUE (id)",
            )
            + dialect.suffixes[0],
            _table(dialect, tags, TAG_COLUMNS, f"PRIMARY KEY ({_of(TAG_COLUMNS)})")
            + dialect.suffixes[1],
            f"CREATE INDEX changes ON {promises} (change){dialect.changed}",
            # Most promises are resolved: to find those by an index would cost every
            # settle a page, and finds nothing that a walk does not find soon.
            (
                f"CREATE INDEX states ON {promises} (state, place) "
                f"WHERE state <> {RESOLVED}"
            ),
            (
                f"CREATE INDEX deadlines ON {promises} (deadline) "
                f"WHERE state = {PENDING} AND deadline IS NOT NULL"
            ),
        )
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
            + _of([f"{name} = excluded.{name}" for name in PromiseRow._fields[1:]])
            + f" WHERE {promises}.version = excluded.version - 1"
        )
        self.write: Final = f"{self.upsert} RETURNING id, place, generation"
        types = _types(dialect, TAG_COLUMNS)
        self.tag: Final = (
            f"INSERT INTO {tags} ({_of(TAG_COLUMNS)}) {dialect.source(types)} "
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


def _of(names: Sequence[str]) -> str:
    return ", ".join(names)


def _types(dialect: Dialect, names: Sequence[str]) -> dict[str, str]:
    return {name: dialect.types[name].split(" ")[0] for name in names}


def _table(dialect: Dialect, table: str, columns: Sequence[str], keys: str) -> str:
    lines = _of([f"{name} {dialect.types[name]}" for name in columns])
    return f"CREATE TABLE {table} ({lines}, {keys})"
