"""
`Call`: one question or order to a store, as rows answer it.

A call is a pure function of the rows of its promises: `Call.step` returns the changes
that have to be made first, or none, once the rows answer the call. So it does not
matter whether a change was made by this call, or by somebody who was faster: the rows
are looked at again, and say what won.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from time import monotonic
from typing import Any, Final, TypeAlias, TypeVar, cast, final

from dp_backends._working import WorkerCall
from dp_backends.sql._rows import Change, PromiseRow
from dp_core import CorruptPromiseError, Outcome, PromiseInfo, State, Terms

__all__ = [
    "Ask",
    "Call",
    "CreateCall",
    "DisposeCall",
    "InfoCall",
    "LookCall",
    "PeekCall",
    "RowCall",
    "Rows",
    "SettleCall",
]

R = TypeVar("R")

Rows: TypeAlias = Mapping[bytes, PromiseRow]
"""Rows by the ids of their promises in UTF-8."""


class Call(WorkerCall[R], ABC):
    """
    One call of a caller in some event loop.

    Attributes:
        is_done: Whether there is a result, or an error.
        is_patient: Whether to try again while the database is away.
        only_reads: Whether it is a question, to which nothing need be written.
        is_repeatable: Whether it may be done again if nobody knows whether it was.
        may_be_done: Whether an attempt may have done it, although it failed.
        since: When it came, by `time.monotonic`.
    """

    __slots__ = ("is_done", "is_patient", "may_be_done", "since")

    only_reads = False
    is_repeatable = True

    def __init__(self, *, is_patient: bool = True) -> None:
        super().__init__()
        self.is_done = False
        self.is_patient = is_patient
        self.may_be_done = False
        self.since = monotonic()

    def answer(self, result: R) -> Sequence[Change]:
        """Let *result* be the result; no change is needed."""
        self.result = result
        self.is_done = True
        return ()

    def fail(self, error: Exception) -> None:
        """Let *error* be raised."""
        self.error = error
        self.is_done = True


class RowCall(Call[R]):
    """
    A call about some promises.

    Attributes:
        ids: Their ids in UTF-8.
    """

    __slots__ = ("ids",)

    def __init__(self, *ids: bytes, is_patient: bool = True) -> None:
        super().__init__(is_patient=is_patient)
        self.ids = ids

    @abstractmethod
    def step(self, rows: Rows, now: datetime) -> Sequence[Change]:
        """
        Return the changes that have to be made first; none if the call is done.

        Args:
            rows: The rows of all its promises.
            now: The time by the clock of the store.

        Raises:
            CorruptPromiseError: A row is damaged.
        """


@final
class Ask(Call[R]):
    """
    A question that needs no rows of its own, and changes nothing.

    Attributes:
        ask: Asks it in a session of the store, in the worker thread.
    """

    __slots__ = ("ask",)

    only_reads = True

    def __init__(self, ask: Callable[[Any], R]) -> None:
        super().__init__()
        self.ask = ask


class _RowQuestion(RowCall[R]):
    """A question about one promise, whose deadline settles it first if it is over."""

    __slots__ = ()

    only_reads = True

    def step(self, rows: Rows, now: datetime) -> Sequence[Change]:
        row = rows[self.ids[0]]
        if (change := row.over(now)) is not None:
            return (change,)
        return self.answer(self.asked(row))

    @abstractmethod
    def asked(self, row: PromiseRow) -> R:
        """Return what a row says to the question."""


@final
class PeekCall(_RowQuestion[State[bytes]]):
    """A question for the state of a promise."""

    __slots__ = ()

    def asked(self, row: PromiseRow) -> State[bytes]:
        return row.promise_state()


@final
class SettleCall(RowCall[Outcome[bytes]]):
    """An order to settle a promise."""

    __slots__ = ("_outcome",)

    def __init__(self, id: bytes, outcome: Outcome[bytes]) -> None:
        super().__init__(id)
        self._outcome = outcome

    def step(self, rows: Rows, now: datetime) -> Sequence[Change]:
        row = rows[self.ids[0]]
        if row.is_settled:
            return self.answer(cast("Outcome[bytes]", row.promise_state()))
        return (row.over(now) or row.settle(self._outcome, now),)


@final
class CreateCall(RowCall[Terms[bytes]]):
    """An order to give a promise its terms."""

    __slots__ = ("_given", "_terms")

    def __init__(self, id: bytes, terms: Terms[bytes]) -> None:
        super().__init__(id)
        self._terms = terms
        self._given: bytes | None = None

    def step(self, rows: Rows, now: datetime) -> Sequence[Change]:
        row = rows[self.ids[0]]
        if (change := row.create(self._terms, now)) is not None:
            self._given = change.after.terms
            return (change,)
        terms = cast("Terms[bytes]", row.promise_terms())
        # The same object: terms that somebody else gave were read.
        is_first = row.terms is self._given or (None if self.may_be_done else False)
        return self.answer(replace(terms, is_first=is_first))


@final
class DisposeCall(RowCall[None]):
    """An order to forget a promise."""

    __slots__ = ("_generation",)

    is_repeatable = False
    _UNKNOWN: Final = -1

    def __init__(self, id: bytes) -> None:
        super().__init__(id)
        self._generation: Any = self._UNKNOWN

    def step(self, rows: Rows, now: datetime) -> Sequence[Change]:
        row = rows[self.ids[0]]
        if self._generation == self._UNKNOWN:
            self._generation = row.generation
        if row.generation != self._generation:
            # By this call, or by another one since it came.
            return self.answer(None)
        return (row.dispose(now),)


@final
class InfoCall(_RowQuestion[PromiseInfo[bytes]]):
    """A question for all that is known about a promise."""

    __slots__ = ()

    def asked(self, row: PromiseRow) -> PromiseInfo[bytes]:
        return row.info()


@final
class LookCall(RowCall[Rows]):
    """
    A question for the rows of promises, none of which is pending and over.

    That one of them is damaged is found out by who reads it.
    """

    __slots__ = ()

    only_reads = True

    def step(self, rows: Rows, now: datetime) -> Sequence[Change]:
        mine = {id: rows[id] for id in self.ids}
        changes: list[Change] = []
        for row in mine.values():
            with suppress(CorruptPromiseError):
                if (change := row.over(now)) is not None:
                    changes.append(change)
        return changes or self.answer(mine)
