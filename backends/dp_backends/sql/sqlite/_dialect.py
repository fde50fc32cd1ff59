"""`SQL` and `UPSERTS`: the statements of a store in SQLite."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from dp_backends.sql._rows import PromiseRow
from dp_backends.sql._schema import Dialect
from dp_backends.sql._sessions import Statements

__all__ = ["CHANGED", "HIGHEST", "SQL", "UPSERTS"]


def _values(columns: Collection[str]) -> str:
    return f"VALUES ({', '.join('?' for _ in columns)})"


def _upgrade(tables: Sequence[str]) -> Mapping[int, Sequence[str]]:
    columns = ", ".join(PromiseRow._fields)
    # The columns of names were text once, and the indexes had all rows.
    as_bytes = columns.replace("settled_by", "CAST(settled_by AS BLOB)")
    return {
        1: (
            *(f"DROP INDEX {name}" for name in ("changes", "states", "deadlines")),
            "ALTER TABLE promises RENAME TO old_promises",
            "ALTER TABLE tags RENAME TO old_tags",
            *tables,
            f"INSERT INTO promises ({columns}) SELECT {as_bytes} FROM old_promises",
            (
                "INSERT INTO tags SELECT CAST(key AS BLOB), CAST(value AS BLOB), "
                "state, place FROM old_tags"
            ),
            "DROP TABLE old_promises",
            "DROP TABLE old_tags",
        )
    }


SQL: Final = Statements(
    Dialect(
        types={
            "id": "BLOB NOT NULL",
            "place": "INTEGER",
            "version": "INTEGER NOT NULL",
            "generation": "INTEGER NOT NULL",
            "change": "INTEGER NOT NULL",
            "state": "INTEGER NOT NULL",
            "outcome": "BLOB",
            "settled_by": "BLOB",
            "settled_at": "INTEGER",
            "expired": "INTEGER NOT NULL",
            "created_at": "INTEGER",
            "deadline": "INTEGER",
            "terms": "BLOB",
            "key": "BLOB NOT NULL",
            "value": "BLOB NOT NULL",
        },
        schema="",
        suffixes=(" STRICT", " STRICT, WITHOUT ROWID"),
        # The first change of a generation is its place, too, and found by that: so a
        # settle writes two pages, as few as it can, and not three.
        changed=" WHERE change <> place",
        upgrade=_upgrade,
        one="?",
        among="IN carray(?)",
        source=_values,
        rows=lambda types: " AND ".join(f"{name} = ?" for name in types),
    )
)


def _upsert(rows: int) -> str:
    """Return the statement that writes a number of rows."""
    one = _values(PromiseRow._fields)
    return SQL.upsert.replace(one, ", ".join([one, *[one[7:]] * (rows - 1)]))


UPSERTS: Final = {rows: _upsert(rows) for rows in (256, 64, 16, 4, 1)}
"""
Statements that write so many rows, the largest first.

One of them costs half of as many that write a row each, and lets go of the interpreter
once: a thread that has to get it back 64 times waits for the event loop each time.
"""

HIGHEST: Final = """
SELECT max(ifnull((SELECT max(place) FROM promises), 0),
    ifnull((SELECT max(change) FROM promises WHERE change <> place), 0))
"""
"""Asks for the number of the last change."""

CHANGED: Final = """
SELECT place, id FROM promises WHERE place > ?1 AND change = place
UNION ALL SELECT change, id FROM promises WHERE change > ?1 AND change <> place
ORDER BY 1 LIMIT ?2
"""
"""Asks for the changes above a number, in their order."""
