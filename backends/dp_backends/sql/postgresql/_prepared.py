"""`Prepared`: statements that come again and again, at half the costs of a cursor."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, final

from psycopg import Connection
from psycopg.adapt import Transformer

from dp_backends.sql.postgresql._connecting import checked
from dp_backends.sql.postgresql._queries import Column

__all__ = ["Prepared"]

_PARAMETER: Final = re.compile("%[bt%]")


@final
class Prepared:
    """
    Statements whose parameters are packed already: there is nothing to adapt.

    Args:
        connection: The connection.
        is_pooled: Whether it is with a pooler, so that nothing can be prepared.
    """

    def __init__(self, connection: Connection, *, is_pooled: bool) -> None:
        self._connection = connection
        self._is_pooled = is_pooled
        self._transformer = Transformer(connection)
        self._known: dict[str, tuple[bytes, list[int]]] = {}

    def run(self, statement: str, values: Sequence[Column | bytes]) -> list[Any]:
        """
        Return the rows of a statement.

        Args:
            statement: The statement, with parameters as psycopg has them.
            values: Columns for those in binary format, and texts.

        Raises:
            psycopg.Error: It failed.
        """
        known = self._known.get(statement)
        if known is None:
            known = self._known[statement] = self._prepare(statement)
        name, formats = known
        packed = [v.packed() if isinstance(v, Column) else v for v in values]
        pgconn = self._connection.pgconn
        if self._is_pooled:
            result = pgconn.exec_params(name, packed, None, formats, 1)
        else:
            result = pgconn.exec_prepared(name, packed, formats, 1)
        checked(result)
        self._transformer.set_pgresult(result)
        return self._transformer.load_rows(0, result.ntuples, tuple)

    def _prepare(self, statement: str) -> tuple[bytes, list[int]]:
        """Return the name of a statement, or itself, and its parameters' formats."""
        formats: list[int] = []

        def numbered(found: re.Match[str]) -> str:
            if found[0] == "%%":
                return "%"
            formats.append(int(found[0] == "%b"))
            return f"${len(formats)}"

        text = _PARAMETER.sub(numbered, statement).encode()
        if self._is_pooled:
            return text, formats
        name = b"dp_%d" % len(self._known)
        checked(self._connection.pgconn.prepare(name, text))
        return name, formats
