"""
`Worker`: the one thread of a store, and the calls that come to it together.

It goes on from batch to batch while there are calls (`WorkerThreads`). It takes what
has come as one batch, so a call alone waits for nobody, and many share a commit.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from random import uniform
from typing import Any, Final, TypeAlias, TypeVar, final

from dp_backends._working import WorkerThreads, tell
from dp_backends.sql._sessions import Failure, Session
from dp_backends.sql._working._batch import run_batch
from dp_backends.sql._working._calls import Ask, Call, RowCall
from dp_core import (
    BackendClosedError,
    BackendError,
    OutcomeUnknownError,
)

__all__ = ["Worker"]

R = TypeVar("R")

_BATCH: Final = 1024
"""The most calls in one transaction."""

_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 2.0


_Calls: TypeAlias = Sequence[Call[Any]]


@final
class Worker:
    """
    The thread that works on the calls of one handle.

    Args:
        connect: Makes a session, which is to give up waiting once the event is set;
            raises `Failure`.
        patience: How many seconds a call is tried again while the database is away,
            if its caller does not leave before.
    """

    def __init__(
        self, connect: Callable[[threading.Event], Session], patience: float
    ) -> None:
        self._connect = connect
        self._patience = patience
        self._closing = threading.Event()
        self._session: Session | None = None
        # Of who uses the session: the thread, or who closes or forks.
        self._using = threading.Lock()
        # Not a method of this one: in a cycle, what is forgotten would stay open.
        self._threads: WorkerThreads[Call[Any]] = WorkerThreads(
            "dp-sql", partial(_work, weakref.ref(self)), batch=_BATCH
        )
        _WORKERS.add(self)

    async def do(self, call: Call[R]) -> R:
        """
        Return the result of a call.

        A call that is cancelled before its batch has begun is not done at all; after
        that, only its caller leaves.

        Raises:
            BackendError: The call failed.
        """
        if sys.is_finalizing():
            # Other threads stand still for ever, maybe one that uses the session.
            self.begin_anew()
        self._threads.put(call)
        return await call.wait()

    async def aclose(self) -> None:
        """Close the session, after the batch under way; what was not begun fails."""
        self._closing.set()
        await self._threads.aclose()
        with self._using:
            self._drop_session()

    # Forking ----------------------------------------------------------------

    def before_fork(self) -> None:
        """Let no batch be under way while the process forks, nor a session open."""
        self._using.acquire()
        if self._session is not None and self._session.closes_at_fork:
            self._drop_session()

    def after_fork_in_parent(self) -> None:
        """Go on."""
        self._using.release()

    def begin_anew(self) -> None:
        """Leave the session to threads that are not here, or stand still for ever."""
        if self._session is not None:
            _LEFT.append(self._session)
            self._session = None
        self._using = threading.Lock()

    # Working ----------------------------------------------------------------

    def work(self, calls: list[Call[Any]]) -> None:
        """Work on calls until each is told."""
        failures = 0
        while calls := [c for c in calls if not c.is_withdrawn]:
            if self._closing.is_set():
                self._fail(calls, BackendClosedError(_CLOSED))
                break
            try:
                with self._using:
                    self._attempt(calls)
            except Failure as failure:
                failures += 1
                calls = self._after(failure, [c for c in calls if not c.is_done])
                if failure.is_passing and calls:
                    self._pause(failures)
                    calls += self._threads.take(_BATCH - len(calls))
            except Exception as error:  # noqa: BLE001 - callers must not wait for ever
                for call in calls:
                    if not call.is_done:
                        call.fail(error)
                        tell([call])
                break
            else:
                break

    def _attempt(self, calls: _Calls) -> None:
        if self._session is None:
            self._session = self._connect(self._closing)
        session = self._session
        try:
            row_calls = [call for call in calls if isinstance(call, RowCall)]
            if row_calls:
                run_batch(session, row_calls, tell)
            for call in calls:
                if isinstance(call, Ask):
                    try:
                        call.answer(call.ask(session))
                    except BackendError as error:
                        call.fail(error)
                    tell([call])
        except Failure as failure:
            if failure.breaks:
                self._drop_session()
            raise

    def _after(self, failure: Failure, calls: list[Call[Any]]) -> list[Call[Any]]:
        """Tell those for whom a failure is the end; return those to try again."""
        if failure.may_be_of_one and len(calls) > 1:
            # Each alone, so that no other fails with it.
            for call in calls:
                self.work([call])
            return []
        readers = [call for call in calls if call.only_reads]
        if 0 < len(readers) < len(calls):
            # What could not be written does not concern them.
            writers = [call for call in calls if not call.only_reads]
            return self._after(failure, writers) + readers
        clock = time.monotonic()
        again: list[Call[Any]] = []
        for call in calls:
            call.may_be_done |= failure.is_unknown
            if (
                failure.is_passing
                and call.is_patient
                and clock - call.since < self._patience
                and (call.is_repeatable or not call.may_be_done)
            ):
                again.append(call)
            elif call.may_be_done:
                error = OutcomeUnknownError(f"{failure.error.reason}; {_UNKNOWN}")
                self._fail([call], error, failure.error)
            else:
                self._fail([call], failure.error)
        return again

    def _pause(self, failures: int) -> None:
        """Wait before another attempt."""
        longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(failures, 30))
        self._closing.wait(uniform(0, longest))  # noqa: S311 - no secret

    def _fail(
        self, calls: _Calls, error: BackendError, cause: Exception | None = None
    ) -> None:
        for call in calls:
            copy = type(error)(error.reason)
            copy.__cause__ = cause or error.__cause__
            call.fail(copy)
        tell(calls)

    def _drop_session(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()


def _work(worker: weakref.ref[Worker], calls: list[Call[Any]]) -> Sequence[Call[Any]]:
    # Whoever still waits for a call has the worker.
    if (there := worker()) is not None:  # pragma: no branch - they have just left
        there.work(calls)
    return ()


_CLOSED: Final = "this handle was closed; connect() again"
_UNKNOWN: Final = (
    "it is not known whether the promise was changed; look at it, or do it again"
)


# Forks ------------------------------------------------------------------------

_WORKERS: Final[weakref.WeakSet[Worker]] = weakref.WeakSet()
_HELD: Final[list[Worker]] = []
# Threads may fork at the same time, and each is to release what it holds itself.
_FORKING: Final = threading.Lock()
_LEFT: Final[list[Session]] = []
"""Sessions of the parent of this process, or of such threads: not to be closed here."""


def _before_fork() -> None:
    _FORKING.acquire()
    for worker in tuple(_WORKERS):
        worker.before_fork()
        _HELD.append(worker)


def _after_in_parent() -> None:
    while _HELD:
        _HELD.pop().after_fork_in_parent()
    _FORKING.release()


def _after_in_child() -> None:
    while _HELD:
        _HELD.pop().begin_anew()
    _FORKING.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_in_parent,
        after_in_child=_after_in_child,
    )
