"""Columns of rows, packed by hand, arrive as they are."""

from __future__ import annotations

import psycopg
import pytest

from dp_backends.sql.postgresql._queries import (
    Big,
    Bytes,
    Column,
    Small,
    register_arrays,
)
from support.postgresql.server import PostgresServer


@pytest.mark.parametrize(
    "column",
    [
        Bytes([]),
        Bytes([b"", None, b"\x00\xff", b"x" * 100_000]),
        Big([0, None, -1, 2**63 - 1, -(2**63)]),
        Small([0, None, -1, 2**15 - 1]),
    ],
    ids=["none", "bytes", "big", "small"],
)
def test_columns_arrive(postgresql: PostgresServer, column: Column) -> None:
    """PostgreSQL has the same values, NULL where there is none, and the same type."""
    with psycopg.connect(postgresql.url()) as connection:
        register_arrays(connection)
        query = "SELECT v, pg_typeof(v)::oid::int FROM unnest(%b) AS v"
        rows = connection.execute(query, [column]).fetchall()

    assert [(value, column.element) for value in column.values] == rows
