"""
`Observation`: one operation of a promise, reported to the observers.

`dp_core.instrumentation` is the public door. The list of observers is here because
`DurablePromise` looks at it before every operation; without observers that look is
all they cost.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Literal, Protocol, final

from dp_core._errors import PromiseRejectedError
from dp_core._observed_requests import NUMBERS, UNDER_WAY
from dp_core._states import Outcome, State
from dp_core._terms import Terms

__all__ = [
    "OBSERVERS",
    "Finished",
    "Observation",
    "Observer",
    "OperationName",
    "Started",
]

OperationName = Literal[
    "peek", "get", "resolve", "reject", "dispose", "create", "info", "list", "prune"
]
"""
The methods that are reported: those of `dp_core.DurablePromise`, and
`dp_core.Promises.create`, ``list`` and ``prune``.

Waiting for several promises (`dp_core.gather` and its like) is reported as a ``get`` of
each.

A listing is reported once for each page that is asked for: between two pages it is the
caller's time, and who leaves it in the middle ends nothing.
"""


@final
@dataclass(frozen=True, slots=True)
class Started:
    """
    An operation has begun.

    Attributes:
        number: Counts operations in this process; `Finished` has the same one.
        operation: The method's name; ``await promise`` is a ``get``.
        id: The promise's id; empty for ``list`` and ``prune``.
        url: The store's URL as the user gave it; it may contain a password.
        joint: Whether it is one of several for which one call waits, as of
            `dp_core.gather`: they begin together, and end in any order and task.
        served: Whether a server does it for a client, where it is an operation as well.
    """

    number: int
    operation: OperationName
    id: str
    url: str
    joint: bool = False
    served: bool = False


@final
@dataclass(frozen=True, slots=True)
class Finished:
    """
    An operation has ended.

    Its repr shows no values, so that they get into no log by accident.

    Attributes:
        number: That of `Started`.
        operation: The method's name.
        id: The promise's id; empty for ``list`` and ``prune``.
        url: The store's URL as the user gave it; it may contain a password.
        seconds: How long it took, by the monotonic clock.
        state: The state that the store reported, with the value as JSON text;
            None if it did not report one in time. Beside an *error* where the
            promise was rejected, or its value is not of the handle's type.
        asked: The outcome that a resolve or reject asked for; None for other
            operations, and for a value that is refused before the store is asked.
        terms: The terms that a create or an info found, with values as JSON text.
        expired: Whether an info found that the deadline settled it, and nobody else.
        error: The exception that was raised, or None.
        cancelled: Whether *error* is a cancellation, or says on a server that the
            client went away; or, without one, another promise of the same call was
            enough, as for the losers of a race.
        count: How many promises are on the page, or were disposed of by a prune, also
            by one that failed then; None for other operations.
    """

    number: int
    operation: OperationName
    id: str
    url: str
    seconds: float
    state: State[bytes] | None = field(default=None, repr=False)
    asked: Outcome[bytes] | None = field(default=None, repr=False)
    terms: Terms[bytes] | None = field(default=None, repr=False)
    expired: bool = False
    error: BaseException | None = None
    cancelled: bool = False
    count: int | None = None

    @property
    def result(self) -> str:
        """
        One word, for logs and for the labels of metrics.

        ``"pending"``, ``"resolved"``, ``"rejected"``, ``"disposed"``, ``"created"``,
        ``"listed"``, ``"pruned"``, ``"cancelled"``; else the name of the error's class.
        """
        if self.cancelled:
            return "cancelled"
        if self.error is not None and not isinstance(self.error, PromiseRejectedError):
            return type(self.error).__name__
        if self.operation in _RESULTS:
            return _RESULTS[self.operation]
        return type(self.state).__name__.lower()


_RESULTS: Final[Mapping[OperationName, str]] = {
    "create": "created",
    "dispose": "disposed",
    "list": "listed",
    "prune": "pruned",
}
"""The results of operations that ask for no state."""


class Observer(Protocol):
    """
    An object that receives two events for every operation of every promise and store.

    Its methods are called where the operation runs, in that thread and task, so
    they must not block. An exception that they raise is logged, the first time,
    and does not reach the operation.
    """

    def started(self, event: Started, /) -> None:
        """Receive the beginning of an operation."""

    def finished(self, event: Finished, /) -> None:
        """Receive its end, however it ended; `started` was called before."""


OBSERVERS: Final[list[Observer]] = []
"""The observers of this process; changed by `dp_core.instrumentation` only."""


@final
class Observation:
    """
    A context manager around one operation, which reports it to the observers.

    One of several for which one call waits has `begin` and `finish` in its place.

    Observers that received the beginning receive the end, also if they are removed
    meanwhile; observers that are added meanwhile receive neither.

    Attributes:
        state: To be set to what the store reported.
        asked: To be set to what the store is asked for.
        terms: To be set to the terms that the store reported.
        expired: To be set to whether it reported that the deadline settled it.
        count: To be set to the number of promises of a page or a prune.
        cancelled: To be set where its error says that nobody waits for it any more.
    """

    __slots__ = (
        "_began",
        "_observers",
        "_outer",
        "_started",
        "asked",
        "cancelled",
        "count",
        "expired",
        "state",
        "terms",
    )

    def __init__(
        self,
        name: OperationName,
        id: str,
        url: str,
        *,
        joint: bool = False,
        served: bool = False,
    ) -> None:
        self.state: State[bytes] | None = None
        self.asked: Outcome[bytes] | None = None
        self.terms: Terms[bytes] | None = None
        self.expired = False
        self.count: int | None = None
        self.cancelled = False
        self._started = Started(next(NUMBERS), name, id, url, joint, served)
        self._observers = tuple(OBSERVERS)

    def __enter__(self) -> Observation:
        self._outer = UNDER_WAY.get()
        UNDER_WAY.set(self._started.number)
        self.begin()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Not by its token: a coroutine that is dropped ends where the collector runs.
        if UNDER_WAY.get() == self._started.number:
            UNDER_WAY.set(self._outer)
        self.finish(error, cancelled=self.cancelled or _is_cancellation(error))

    def begin(self) -> None:
        """Report the beginning; called once, by the context manager or instead."""
        for observer in self._observers:
            observer.started(self._started)
        self._began = time.monotonic()

    def finish(self, error: BaseException | None, *, cancelled: bool = False) -> None:
        """Report the end; called once, by the context manager or instead of it."""
        seconds = time.monotonic() - self._began
        started = self._started
        event = Finished(
            started.number,
            started.operation,
            started.id,
            started.url,
            seconds,
            self.state,
            self.asked,
            self.terms,
            self.expired,
            error,
            cancelled=cancelled,
            count=self.count,
        )
        for observer in self._observers:
            observer.finished(event)


def _is_cancellation(error: BaseException | None) -> bool:
    # What ends a coroutine from outside differs by event loop (CancelledError,
    # trio.Cancelled, a group of them, GeneratorExit for one that is dropped), and
    # to ask anyio for it needs a loop that runs. All of them are no Exception.
    return error is not None and not isinstance(
        error, Exception | KeyboardInterrupt | SystemExit
    )
