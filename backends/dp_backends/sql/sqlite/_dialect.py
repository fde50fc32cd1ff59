"""`SQL`: the statements of a store in SQLite."""

from __future__ import annotations

from typing import Final

from dp_backends.sql._sessions import Dialect, Statements

__all__ = ["SQL"]

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
        one="?",
        among="IN carray(?)",
        source=lambda types: f"VALUES ({', '.join('?' for _ in types)})",
        rows=lambda types: " AND ".join(f"{name} = ?" for name in types),
    )
)
