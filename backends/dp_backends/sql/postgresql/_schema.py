"""`Schema`: a store's place in a database: found, checked, made, brought up to date."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, final
from zlib import crc32

from psycopg import Connection, errors
from psycopg.pq import TransactionStatus

from dp_backends.sql.postgresql._connecting import Server, run
from dp_backends.sql.postgresql._queries import MARK, Queries
from dp_core import AccessDeniedError, BackendUnavailableError
from dp_core.backend import quoted

__all__ = ["LOCK", "Schema", "key_of"]

# Whether there is a schema, whether it has our mark, whether it has anything.
_LOOK: Final = """
SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = %(schema)s),
    EXISTS (SELECT FROM pg_catalog.pg_class AS c
        JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname = %(schema)s AND c.relname = %(mark)s),
    EXISTS (SELECT FROM pg_catalog.pg_class AS c
        JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname = %(schema)s)
    OR EXISTS (SELECT FROM pg_catalog.pg_proc AS p
        JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
        WHERE n.nspname = %(schema)s)
"""
LOCK: Final = "SELECT pg_advisory_xact_lock(%s, %s)"
_OURS: Final = int.from_bytes(b"dpms")
"""A number that others will not lock."""


def key_of(schema: str) -> tuple[int, int]:
    """Return the numbers to lock while a store is made."""
    return _OURS, crc32(schema.encode()) >> 1


@final
class Schema:
    """
    The schema of one store, in one connection.

    Its methods raise errors of psycopg, too.

    Args:
        server: The server.
        queries: The statements.
        connection: The connection, in no transaction.
    """

    def __init__(
        self, server: Server, queries: Queries, connection: Connection
    ) -> None:
        self._server = server
        self._queries = queries
        self._connection = connection
        self._name = server.url.schema
        self._is_ahead = False

    def is_made(self) -> bool:
        """
        Tell whether the store is there; an older format of it is brought up to date.

        Raises:
            BackendUnavailableError: It is something else, or of a newer format.
        """
        form = self.format()
        if form is not None and form < self._queries.sql.format:
            self._make(is_there=True)
        return form is not None

    def make(self) -> None:
        """
        Make the store, unless it is there.

        Raises:
            BackendUnavailableError: There is something else, or of a newer format.
            AccessDeniedError: This role may not.
        """
        if not self.is_made():
            self._make(is_there=False)
        if self._is_ahead:
            # Restored from another server, whose transactions had larger numbers:
            # all who wait would look at these promises again and again.
            run(self._connection, self._server.begin)
            try:
                self._connection.execute(self._queries.renumber, ())
            finally:
                run(self._connection, "COMMIT")
            self._is_ahead = False

    def format(self) -> int | None:
        """
        Return the format of the store; None where there is none.

        Raises:
            BackendUnavailableError: It is something else, or of a newer format.
        """
        is_there, is_ours, is_used = self._one(
            _LOOK, {"schema": self._name, "mark": MARK}
        )
        if is_there and is_used and not is_ours:
            raise BackendUnavailableError(
                f"the schema {quoted(self._name)} of {self._server.url.location} is "
                "somebody else's, and is left alone; name another one by ?schema=NAME"
            )
        if not is_ours:
            return None
        form, self._is_ahead = self._one(self._queries.formats, ())
        newest = self._queries.sql.format
        if form > newest:
            raise BackendUnavailableError(
                f"the store {self._server.url.location} has format {form}, and this "
                f"version reads 1 to {newest}; upgrade durable-promises, or name "
                "another schema"
            )
        return int(form)

    def _make(self, *, is_there: bool) -> None:
        """Make what is not there, by whoever comes first."""
        run(self._connection, self._server.begin)
        try:
            self._connection.execute(LOCK, key_of(self._name))
            self._create()
            run(self._connection, "COMMIT")
        except errors.InsufficientPrivilege as error:
            raise AccessDeniedError(self._denied(is_there=is_there)) from error
        finally:
            # Of no effect after a commit.
            if not self._connection.closed and self._is_in_transaction():
                run(self._connection, "ROLLBACK")

    def _denied(self, *, is_there: bool) -> str:
        """Return an error's text: this role may not make the store, or change it."""
        store, user = self._server.url.location, self._connection.info.user
        if is_there:
            return (
                f"the store {store} is of an older format, and the role {quoted(user)} "
                "may not bring it up to date; let its owner open it once"
            )
        return (
            f"cannot make the store {store}: the role {quoted(user)} may not; let the "
            f"owner of the database CREATE SCHEMA {self._queries.schema} AUTHORIZATION "
            f'"{user}", or GRANT CREATE ON DATABASE '
            f'"{self._connection.info.dbname}" TO "{user}"'
        )

    def _is_in_transaction(self) -> bool:
        return self._connection.info.transaction_status != TransactionStatus.IDLE

    def _create(self) -> None:
        queries = self._queries
        form = self.format()
        if form is None:
            if not self._one(_LOOK, {"schema": self._name, "mark": MARK})[0]:
                run(self._connection, f"CREATE SCHEMA {queries.schema}")
            for statement in queries.making:
                self._connection.execute(statement, ())
            form = 0
        # Somebody else may have been faster.
        for statement in queries.sql.upgrades.get(form, ()):
            self._connection.execute(statement, ())
        self._connection.execute(queries.set_format, (queries.sql.format,))

    def _one(
        self, statement: str, values: Sequence[Any] | Mapping[str, Any]
    ) -> tuple[Any, ...]:
        row = self._connection.execute(statement, values).fetchone()
        if row is None:
            raise BackendUnavailableError(
                f"the store {self._server.url.location} does not say its format; "
                "restore it from a backup"
            )
        return row
