"""
The schema of a store in a database: its tables and indexes, for each dialect of SQL.

There are two tables. ``promises`` has a row for each promise that was ever heard of,
with the columns of `PromiseRow`. ``tags`` has one for each tag of those, so that they
can be found by it. `Dialect` says in what the databases differ; all else is said once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

from dp_backends.sql._rows import PENDING, RESOLVED, PromiseRow

__all__ = ["TAG_COLUMNS", "Dialect", "listed", "make_tables"]

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


def make_tables(dialect: Dialect) -> tuple[str, ...]:
    """Return the statements that make the tables and indexes of the newest format."""
    promises, tags = f"{dialect.schema}promises", f"{dialect.schema}tags"
    return (
        _table(
            dialect,
            promises,
            PromiseRow._fields,
            "PRIMARY KEY (place), UNIQUE (id)",
        )
        + dialect.suffixes[0],
        _table(dialect, tags, TAG_COLUMNS, f"PRIMARY KEY ({listed(TAG_COLUMNS)})")
        + dialect.suffixes[1],
        f"CREATE INDEX changes ON {promises} (change){dialect.changed}",
        # Most promises are resolved: to find those by an index would cost every
        # settle a page, and finds nothing that a walk does not find soon.
        (f"CREATE INDEX states ON {promises} (state, place) WHERE state <> {RESOLVED}"),
        (
            f"CREATE INDEX deadlines ON {promises} (deadline) "
            f"WHERE state = {PENDING} AND deadline IS NOT NULL"
        ),
    )


def listed(names: Sequence[str]) -> str:
    """Return names as a list of SQL."""
    return ", ".join(names)


def _table(dialect: Dialect, table: str, columns: Sequence[str], keys: str) -> str:
    lines = listed([f"{name} {dialect.types[name]}" for name in columns])
    return f"CREATE TABLE {table} ({lines}, {keys})"
