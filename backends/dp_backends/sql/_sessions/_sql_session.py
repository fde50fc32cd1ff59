"""`SqlSession`: a session in terms of a driver's two ways to run statements."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Final, TypeAlias

from dp_backends.sql._rows import DISPOSED, Change, PromiseRow, absent
from dp_backends.sql._sessions._session import Session
from dp_backends.sql._sessions._statements import Statements
from dp_core import CorruptPromiseError

__all__ = ["SqlSession", "Values"]

_KEPT: Final = 24 * 60 * 60 * 1_000_000
"""Time for which the row of a disposal is kept, in microseconds."""

Values: TypeAlias = Sequence[Any]
"""The values of the parameters of a statement."""


class SqlSession(Session):
    """
    Base of the sessions of all databases.

    Attributes:
        sql: The statements in the database's dialect.
    """

    sql: Statements

    @abstractmethod
    def all(self, statement: str, *values: Any) -> Sequence[Values]:
        """Run a statement, and return its rows; raises `Failure`."""

    @abstractmethod
    def many(self, statement: str, rows: Sequence[Values]) -> Iterable[Values]:
        """Run a statement for many rows of parameters; return the rows it returns."""

    @abstractmethod
    def is_made(self) -> bool:
        """Tell whether the store is there; nothing is made."""

    @abstractmethod
    def now(self) -> datetime:
        """Return the time by the store's clock."""

    @abstractmethod
    def numbered(self, rows: Sequence[PromiseRow]) -> Sequence[PromiseRow]:
        """Return rows to write, with all numbers that the database does not give."""

    def read(self, ids: Collection[bytes]) -> tuple[datetime, dict[bytes, PromiseRow]]:
        rows = {id: absent(id) for id in ids}
        if not self.is_made():
            return self.now(), rows
        # A table of one id costs more than the row.
        now, found = (
            self.found(self.sql.read_one, *ids)
            if len(ids) == 1
            else self.found(self.sql.read, self.texts(ids))
        )
        for values in found:
            rows[values[0]] = PromiseRow._make(values)
        return now, rows

    def rows_at(
        self, places: Sequence[int], *, newest: bool
    ) -> tuple[datetime, list[PromiseRow]]:
        """Return the time by the store's clock, and the rows of places, in order."""
        now, found = self.found(self.sql.at, self.numbers(places))
        rows = [PromiseRow._make(values) for values in found]
        rows.sort(key=lambda row: row.place or 0, reverse=newest)
        return now, rows

    def found(self, statement: str, value: Any) -> tuple[datetime, Sequence[Values]]:
        """Return the time by the store's clock, and the rows that a statement finds."""
        rows = self.all(statement, value)
        return self.now(), rows

    @abstractmethod
    def texts(self, values: Collection[bytes]) -> Any:
        """Return texts in UTF-8 as one parameter."""

    @abstractmethod
    def numbers(self, values: Collection[int]) -> Any:
        """Return numbers as one parameter."""

    def write_rows(self, rows: Sequence[PromiseRow]) -> Iterable[Values]:
        """
        Write rows where nobody was faster.

        Returns:
            The ids, places and generations of those that were written.
        """
        return self.many(self.sql.write, rows)

    def write(self, changes: Sequence[Change]) -> dict[bytes, PromiseRow]:
        written: dict[bytes, PromiseRow] = {}
        rows = self.numbered([change.after for change in changes])
        afters = {row.id: row for row in rows}
        for id, place, generation in self.write_rows(rows):
            row = afters[id]
            if row.place is None or row.generation is None:
                row = row._replace(place=place, generation=generation)
            written[id] = row
        if disposed := [row for row in written.values() if row.state == DISPOSED]:
            self._forget(disposed)
        tagged = [c for c in changes if c.before.terms or c.after.terms]
        if tagged:
            self._tag([c for c in tagged if c.after.id in written], written)
        return written

    def _forget(self, disposed: Sequence[PromiseRow]) -> None:
        """
        Delete rows of old disposals, twice as many as there are new ones.

        They are there for those who wait: by the generation these learn that theirs is
        over. Nobody sleeps for so long between two looks.
        """
        now = disposed[0].settled_at or 0
        self.all(self.sql.forget, 2 * len(disposed), now - _KEPT)

    def _tag(self, changes: Iterable[Change], written: dict[bytes, PromiseRow]) -> None:
        """Let promises be found by their tags, or not any more."""
        before: list[Values] = []
        after: list[Values] = []
        for change in changes:
            # With damaged terms it can be disposed of all the same: tags of a place
            # that nothing has find nothing.
            with suppress(CorruptPromiseError):
                before += _tags(change.before)
            after += _tags(written[change.after.id])
        if before:
            list(self.many(self.sql.untag, before))
        if after:
            list(self.many(self.sql.tag, after))


def _tags(row: PromiseRow) -> list[Values]:
    terms = None if row.state == DISPOSED else row.promise_terms()
    tags = {} if terms is None else terms.tags
    return [
        (key.encode(), value.encode(), row.state, row.place)
        for key, value in tags.items()
    ]
