"""`Queries`: the statements of a store in one schema of PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, final

from dp_backends.sql._rows import PromiseRow
from dp_backends.sql._schema import Dialect
from dp_backends.sql._sessions import Statements
from dp_backends.sql.postgresql._queries._arrays import ARRAYS, Column

__all__ = ["CHANGED", "MARK", "Queries"]

MARK: Final = "durable_promises_format"
"""The table by which a schema says that it is a store of promises, and its format."""

CHANGED: Final = 5000
"""The most changes to ask for at once; if there are more, all is looked at."""

_TYPES: Final = {
    "id": "bytea NOT NULL",
    "place": "bigint",
    "version": "bigint NOT NULL",
    "generation": "bigint NOT NULL",
    "change": "xid8 NOT NULL",
    "state": "smallint NOT NULL",
    "outcome": "bytea",
    "settled_by": "bytea",
    "settled_at": "bigint",
    "expired": "smallint NOT NULL",
    "created_at": "bigint",
    "deadline": "bigint",
    "terms": "bytea",
    "key": "bytea NOT NULL",
    "value": "bytea NOT NULL",
}
# Nobody but the server knows the number of a transaction. A number from a sequence
# would not do: such do not come in the order of the commits, so that who looks for what
# is above the last one that was seen misses others for ever.
_CHANGE: Final = "pg_current_xact_id()"

_STATES: Final = "CREATE INDEX states "

# Of when the server got the statement: not later than what the statement sees.
_NOW: Final = "(extract(epoch FROM statement_timestamp()) * 1000000)::bigint"


@final
class Queries:
    """
    The statements of a store in one schema.

    Attributes:
        schema: Its name, quoted.
        sql: What all databases have in common.
        timed: The statements that find rows, by those of *sql*; before the rows comes
            one without an id, whose place is the time of the server.
        time: Asks for the time of the server, in microseconds.
        snapshot: Asks which transactions can be seen, as ``pg_current_snapshot()``
            says it.
        changed: Asks the same, in its first row, and for the ids of what was changed
            by transactions that could not be seen before.
        formats: Asks for the store's format, and whether it has changes of transactions
            that are yet to come.
        renumber: Makes such changes those of a present transaction.
        ring: Lets all who listen know of a change.
        listen: Listens.
    """

    def __init__(self, schema: str) -> None:
        self.schema: Final = _quoted(schema)
        # A percent sign of the name is none of a parameter.
        prefix = self.schema.replace("%", "%%") + "."
        numbers = f"{prefix}numbers"
        next_number = f"nextval({_literal(numbers)})"
        given = {
            "place": f"coalesce(place, {next_number})",
            "generation": f"coalesce(generation, {next_number})",
            "change": _CHANGE,
        }

        def source(types: dict[str, str]) -> str:
            """Return the query for rows that are parameters, each column an array."""
            columns = ", ".join(given.get(name, name) for name in types)
            return f"SELECT {columns} FROM {_unnest(types)}"

        def upgrade(tables: Sequence[str]) -> Mapping[int, Sequence[str]]:
            """Return the statements that make the newest format out of older ones."""
            [states] = [line for line in tables if line.startswith(_STATES)]
            # It had all rows once.
            return {1: (f"DROP INDEX {prefix}states", states)}

        self.sql: Final = Statements(
            Dialect(
                types=_TYPES,
                schema=prefix,
                suffixes=("", ""),
                changed="",
                upgrade=upgrade,
                one="%b",
                among="= ANY(%b)",
                source=source,
                rows=lambda types: (
                    f"({', '.join(types)}) IN (SELECT * FROM {_unnest(types)})"
                ),
            )
        )
        promises, mark = self.sql.promises, f"{prefix}{MARK}"
        nothing = ", ".join(
            f"NULL::{_type_of(name)}" for name in PromiseRow._fields[2:]
        )
        self.timed: Final = {
            found: f"SELECT NULL::bytea, {_NOW}, {nothing} UNION ALL {found}"
            for found in (self.sql.read, self.sql.read_one, self.sql.at)
        }
        self.time: Final = f"SELECT {_NOW}"
        self.snapshot: Final = "SELECT pg_current_snapshot()::text"
        self.changed: Final = (
            f"{self.snapshot}, NULL::bytea UNION ALL (SELECT NULL, id FROM {promises} "
            "WHERE change >= %t::xid8 OR change = ANY(%t::xid8[]) "
            f"LIMIT {CHANGED + 1})"
        )
        self.formats: Final = (
            f"SELECT format, coalesce((SELECT change FROM {promises} "
            "ORDER BY change DESC LIMIT 1) >= "
            f"pg_snapshot_xmax(pg_current_snapshot()), false) FROM {mark}"
        )
        self.renumber: Final = (
            f"UPDATE {promises} SET change = {_CHANGE} "
            "WHERE change >= pg_snapshot_xmax(pg_current_snapshot())"
        )
        self.making: Final[Sequence[str]] = (
            f"CREATE SEQUENCE {numbers}",
            f"CREATE TABLE {mark} (format integer NOT NULL)",
            f"INSERT INTO {mark} VALUES (0)",
        )
        self.set_format: Final = f"UPDATE {mark} SET format = %b"
        self.ring: Final = f"NOTIFY {self.schema}".encode()
        self.listen: Final = f"LISTEN {self.schema}".encode()
        self._columns: Final = {
            self.sql.write: _columns_of(PromiseRow._fields),
            self.sql.tag: _columns_of(("key", "value", "state", "place")),
            self.sql.untag: _columns_of(("key", "value", "state", "place")),
        }

    def columns(
        self, statement: str, rows: Sequence[Sequence[object]]
    ) -> Sequence[Column]:
        """Return the parameters of a statement for many rows."""
        kinds = self._columns[statement]
        return [
            kind(values)
            for kind, values in zip(kinds, zip(*rows, strict=True), strict=True)
            if kind is not None
        ]


def _columns_of(names: Sequence[str]) -> Sequence[type[Column] | None]:
    return [None if name == "change" else ARRAYS[_type_of(name)] for name in names]


def _type_of(name: str) -> str:
    return _TYPES[name].split(" ")[0]


def _unnest(types: dict[str, str]) -> str:
    kept = [name for name in types if name != "change"]
    arrays = ", ".join(f"%b::{types[name]}[]" for name in kept)
    return f"unnest({arrays}) AS t({', '.join(kept)})"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    # In the form that means the same whatever standard_conforming_strings is.
    escaped = text.replace("\\", "\\\\").replace("'", "''")
    return f"E'{escaped}'"
