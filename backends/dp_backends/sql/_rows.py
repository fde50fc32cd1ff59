"""
`PromiseRow`: what a database keeps of one promise, and `Change`: how it may go on.

Pure: nothing here knows a database. What is settled stays (`dp_core.TRANSITIONS`); that
it stays for all is the work of the statement that writes a change, which takes effect
only where nobody else was faster.

Times are whole microseconds since 1970, in UTC.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final, NamedTuple

from dp_core import (
    CorruptPromiseError,
    DurablePromiseError,
    Outcome,
    Pending,
    PromiseInfo,
    Rejected,
    Resolved,
    State,
    Terms,
)
from dp_core.backend import expiry
from dp_core.wire import read_terms, write_terms

__all__ = [
    "DISPOSED",
    "PENDING",
    "REJECTED",
    "RESOLVED",
    "Change",
    "PromiseRow",
    "absent",
    "microseconds",
    "moment",
]

PENDING: Final = 0
"""State of a promise that was created, and is not settled."""

RESOLVED: Final = 1
REJECTED: Final = 2

DISPOSED: Final = 3
"""State of an id that was disposed of, and neither created nor settled since."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class PromiseRow(NamedTuple):
    """
    One row of the table of promises, by its columns.

    Attributes:
        id: The promise's id in UTF-8.
        place: Its generation's place in the order of the store; None for the next one.
        version: How often the row was changed; 0 if there is none.
        generation: A number that no other disposal of the store has; 0 for an id that
            was never disposed of, None for a number that is new.
        change: When it was changed last, in the order of the database's commits.
        state: `PENDING`, `RESOLVED`, `REJECTED` or `DISPOSED`.
        outcome: The value as JSON text, or the message.
        settled_by: Who settled it, as they said, in UTF-8: there is nothing that a
            database would have to compare, and not each can keep every text.
        settled_at: When, in microseconds.
        expired: Whether its deadline did, and nobody else.
        created_at: When it was given its terms, in microseconds.
        deadline: That of the terms, in microseconds.
        terms: The terms, as JSON text.
    """

    id: bytes
    place: int | None
    version: int
    generation: int | None
    change: Any
    state: int
    outcome: bytes | None
    settled_by: bytes | None
    settled_at: int | None
    expired: int
    created_at: int | None
    deadline: int | None
    terms: bytes | None

    # Reading ----------------------------------------------------------------

    @property
    def name(self) -> str:
        """The promise's id; raises `CorruptPromiseError`."""
        return _text(self.id)

    @property
    def is_settled(self) -> bool:
        """Whether it is settled: that is its outcome for ever."""
        return self.state in _SETTLED

    @property
    def settler(self) -> str | None:
        """The one who settled it, by their own word; raises `CorruptPromiseError`."""
        return None if self.settled_by is None else _text(self.settled_by)

    def promise_state(self) -> State[bytes]:
        """
        Return the state of the promise.

        Raises:
            CorruptPromiseError: The row is damaged.
        """
        state, outcome = self.state, self.outcome
        if state in _UNSETTLED:
            return Pending()
        if state == RESOLVED and isinstance(outcome, bytes):
            return Resolved(outcome, by=self.settler)
        if state == REJECTED and isinstance(outcome, bytes):
            return Rejected(_text(outcome), by=self.settler)
        raise CorruptPromiseError(
            f"the row of promise {self.id!r} is damaged: state {state!r} with an "
            f"outcome of type {type(outcome).__name__}; restore the database, or "
            "dispose of the promise"
        )

    def promise_terms(self) -> Terms[bytes] | None:
        """
        Return its terms; None if it was not created.

        Raises:
            CorruptPromiseError: They are damaged.
        """
        if self.created_at is None:
            return None
        try:
            return _read_terms(self.terms or b"")
        except (DurablePromiseError, ValueError) as error:
            raise CorruptPromiseError(
                f"the terms of promise {self.id!r} are damaged ({error}); restore the "
                "database, or dispose of the promise"
            ) from error

    def info(self) -> PromiseInfo[bytes]:
        """
        Return all that is known about the promise.

        Raises:
            CorruptPromiseError: The row is damaged.
        """
        is_known = self.state != DISPOSED
        return PromiseInfo(
            id=self.name,
            state=self.promise_state(),
            terms=self.promise_terms(),
            created_at=moment(self.created_at),
            settled_at=moment(self.settled_at) if is_known else None,
            settled_by=self.settler,
            expired=bool(self.expired),
            cursor=str(self.place) if is_known else None,
        )

    def over(self, now: datetime) -> Change | None:
        """Return the change by its deadline, if that is over; None if it is not."""
        if self.deadline is None or self.state != PENDING:
            return None
        outcome = expiry(self.promise_terms(), now)
        return None if outcome is None else self._become(outcome, now, expired=1)

    # Changing ---------------------------------------------------------------

    def settle(self, outcome: Outcome[bytes], now: datetime) -> Change:
        """Return the change that settles it, as it is not settled yet."""
        return self._become(outcome, now, expired=0)

    def create(self, terms: Terms[bytes], now: datetime) -> Change | None:
        """Return the change that gives it its terms; None if it has some."""
        if self.created_at is not None:
            return None
        terms = terms.given_at(now)
        is_new = self.state == DISPOSED
        return Change(
            self,
            self._replace(
                place=None if is_new else self.place,
                version=self.version + 1,
                state=PENDING if is_new else self.state,
                settled_at=None if is_new else self.settled_at,
                created_at=microseconds(now),
                deadline=None
                if terms.deadline is None
                else microseconds(terms.deadline),
                terms=write_terms(terms),
            ),
        )

    def dispose(self, now: datetime) -> Change:
        """Return the change that makes it pending, in a generation of its own."""
        return Change(
            self,
            PromiseRow(
                id=self.id,
                place=None,
                version=self.version + 1,
                generation=None,
                change=None,
                state=DISPOSED,
                outcome=None,
                settled_by=None,
                settled_at=microseconds(now),
                expired=0,
                created_at=None,
                deadline=None,
                terms=None,
            ),
        )

    def _become(
        self, outcome: Outcome[bytes], now: datetime, *, expired: int
    ) -> Change:
        if isinstance(outcome, Rejected):
            state, text = REJECTED, outcome.error.encode()
        else:
            state, text = RESOLVED, outcome.value
        after = PromiseRow(
            self.id,
            None if self.state == DISPOSED else self.place,
            self.version + 1,
            self.generation,
            None,
            state,
            text,
            None if outcome.by is None else outcome.by.encode(),
            microseconds(now),
            expired,
            self.created_at,
            self.deadline,
            self.terms,
        )
        return Change(self, after)


_UNSETTLED: Final = (PENDING, DISPOSED)
_SETTLED: Final = (RESOLVED, REJECTED)


class Change(NamedTuple):
    """
    A change of one row.

    It takes effect only where the row is still what it was *before*, by its version.

    Attributes:
        before: The row as it was read.
        after: The row to be; the database gives what is None in it: a place, a
            generation.
    """

    before: PromiseRow
    after: PromiseRow


def absent(id: bytes) -> PromiseRow:
    """Return the row to assume for a promise that has none."""
    return PromiseRow(id, None, 0, 0, None, DISPOSED, *_NOTHING)


_NOTHING: Final = (None, None, None, 0, None, None, None)


def microseconds(moment: datetime) -> int:
    """Return a time as a database keeps it."""
    return (moment - _EPOCH) // _MICROSECOND


def moment(microseconds: int | None) -> datetime | None:
    """
    Return the time that a database keeps so.

    Raises:
        CorruptPromiseError: There is no such time.
    """
    if microseconds is None:
        return None
    try:
        return _EPOCH + timedelta(microseconds=microseconds)
    except OverflowError as error:
        raise CorruptPromiseError(
            f"a row has the time {microseconds}, which is damaged; restore the "
            "database, or dispose of the promise"
        ) from error


def _text(text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise CorruptPromiseError(
            f"a row has the text {text!r}, which is damaged; restore the database, or "
            "dispose of the promise"
        ) from error


# A promise is looked at more often than it is created.
@lru_cache(maxsize=1024)
def _read_terms(text: bytes) -> Terms[bytes]:
    return read_terms(text, sys.maxsize)
