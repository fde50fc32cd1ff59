"""`Operations`: calls done on a backend, and failures as a client may see them."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from time import perf_counter
from typing import Final, TypeAlias, Union, cast, final

from dp_core._access import Access
from dp_core._errors import (
    AccessDeniedError,
    BackendClosedError,
    BackendError,
    BackendUnavailableError,
    CorruptPromiseError,
    DurablePromiseError,
    NotSupportedError,
    OutcomeUnknownError,
    ProtocolError,
)
from dp_core._observation import OBSERVERS, Observation, OperationName
from dp_core._states import Pending, Resolved, State
from dp_core._terms import Page, state_name
from dp_core._text import quoted, visible
from dp_core.backend import Backend, Located
from dp_core.server._answering._cancelling import is_cancellation
from dp_core.server._answering._registry import RegistryAnswers
from dp_core.server._callbacks import Callbacks
from dp_core.server._observing import Meter, Notices
from dp_core.wire import (
    BatchedCall,
    Call,
    Create,
    Dispose,
    Info,
    List,
    Peek,
    Settle,
    Wait,
    WatchCall,
    write_answer,
)

__all__ = ["Operations", "name_of"]

Operation: TypeAlias = Union[BatchedCall, List]
"""All calls but those that wait."""


@final
class Operations:
    """
    The operations of one backend.

    Args:
        backend: The backend.
        notices: Where failures are told.
        callbacks: What else creates and disposals bring about.
        meter: Counts operations and failures.
        note: Called when an operation has changed something.
    """

    def __init__(
        self,
        backend: Backend,
        notices: Notices,
        callbacks: Callbacks,
        meter: Meter,
        note: Callable[[], None] = lambda: None,
    ) -> None:
        self._backend = backend
        self._note = note
        self._notices = notices
        self._callbacks = callbacks
        self._meter = meter
        self._registry = RegistryAnswers(backend, callbacks, self.tell_unreadable)
        self._url = backend.location if isinstance(backend, Located) else ""

    async def do(self, call: Operation, access: Access | None) -> tuple[int, bytes]:
        """
        Do what a call asks for; return the status and the body of its answer.

        Args:
            call: The call.
            access: What the client may be told of.

        Raises:
            Exception: It failed; `as_seen` says what the client may know of it.
        """
        began = perf_counter()
        outcome = "failed"
        try:
            if OBSERVERS:
                with self.observed(call) as seen:
                    outcome, status, body = await self._do(call, access, seen)
            else:
                outcome, status, body = await self._do(call, access, None)
        finally:
            self._meter.done(name_of(call), outcome, perf_counter() - began)
        return status, body

    def observed(self, call: Operation | Wait) -> Observation:
        """Return what tells observers of a call, as of the method that asks for it."""
        name = "get" if isinstance(call, Wait) else name_of(call)
        id = "" if isinstance(call, List) else call.id
        return Observation(cast("OperationName", name), id, self._url, served=True)

    async def _do(
        self, call: Operation, access: Access | None, seen: Observation | None
    ) -> tuple[str, int, bytes]:
        """Return what came of a call in a word, and its answer."""
        match call:
            case Peek(id):
                state = await self._backend.peek(id)
                _tell(seen, state)
                return state_name(state), 200, write_answer(state)
            case Settle(id, outcome):
                if seen is not None:
                    seen.asked = outcome
                stands = await self._backend.settle(id, outcome)
                _tell(seen, stands)
                self._note()
                return state_name(stands), 200, write_answer(stands)
            case Dispose(id):
                await self._callbacks.dispose(id)
                _tell(seen, Pending())
                self._note()
                return "done", 200, write_answer(None)
            case Create():
                answer = await self._registry.answer(call, access, seen)
                self._note()
                return "done", *answer
            case Info() | List():  # pragma: no branch - the last of all calls
                return "done", *await self._registry.answer(call, access, seen)

    def as_seen(self, error: Exception, call: Call | None) -> DurablePromiseError:
        """
        Return a failure as a client may see it, after a line about it in the log.

        Args:
            error: The failure.
            call: What failed; None where that is not known.
        """
        match error:
            case ProtocolError():
                return error
            case NotSupportedError():
                # The error of the store would name it.
                return NotSupportedError(
                    "the server's store keeps outcomes only: no terms, and no list of "
                    "its promises"
                )
            case BackendError() if call is not None:
                self.tell_failure(call, error)
                return _public(error, call)
            case DurablePromiseError():
                return error
        # A bug must not end a connection.
        self._tell_bug(error)
        return OutcomeUnknownError("the server failed; see its log")

    def tell_ending(self, error: BaseException) -> None:
        """
        Write to the log what ends a request, unless it was cancelled.

        A backend may raise what is meant for a whole process, or for tasks of its own,
        such as SystemExit. It is for the caller to raise it again: this may as well be
        the end of the process.
        """
        if not is_cancellation(error):
            self._tell_bug(error)

    def _tell_bug(self, error: BaseException) -> None:
        trace = _safe_trace(error)
        self._notices.tell(
            ("bug", type(error)), lambda: f"unexpected error\n{trace}", logging.ERROR
        )

    def tell_failure(self, call: Call, error: Exception) -> None:
        """Write to the log that the store failed."""
        operation = name_of(call)
        self._meter.failed(operation, error)
        reason = str(error)
        self._notices.tell(
            ("store", operation, type(error)),
            lambda: f"{operation} of {_subject(call)} failed: {quoted(reason, 1000)}",
            logging.ERROR,
        )

    def tell_unreadable(self, page: Page) -> None:
        """Write to the log which promises of a page cannot be read, and why."""
        for id, error in page.failures[:_NAMED]:
            line = partial(_unreadable, id, str(error))
            self._notices.tell(("unreadable", id), line, logging.ERROR)
        if (more := len(page.failures) - _NAMED) > 0:
            self._notices.tell(
                "unreadable",
                lambda: f"{more:,} more promises cannot be read",
                logging.ERROR,
            )


_NAMED: Final = 20
"""The most promises of a page that are named, of those that cannot be read."""


def _unreadable(id: str, reason: str) -> str:
    return f"promise {quoted(id)} cannot be read: {quoted(reason, 1000)}"


def _tell(seen: Observation | None, state: State[bytes]) -> None:
    if seen is not None:
        seen.state = state


def name_of(call: Call) -> str:
    """Return the name of the operation that a call asks for."""
    if isinstance(call, Settle):
        return "resolve" if isinstance(call.outcome, Resolved) else "reject"
    return _NAMES[type(call)]


_NAMES: Final[Mapping[type[Call], str]] = {
    Peek: "peek",
    Wait: "await",
    Dispose: "dispose",
    Create: "create",
    Info: "info",
    List: "list",
    WatchCall: "watch",
}

_PUBLIC: Final[Mapping[type[BackendError], type[BackendError]]] = {
    # The server's handle was closed and not the client's, so the client can ask
    # again.
    BackendClosedError: BackendUnavailableError,
    BackendUnavailableError: BackendUnavailableError,
    OutcomeUnknownError: OutcomeUnknownError,
    CorruptPromiseError: CorruptPromiseError,
    AccessDeniedError: AccessDeniedError,
    BackendError: BackendError,
}


def _public(error: BackendError, call: Call) -> BackendError:
    """Return the store's failure as a client may see it: no paths, no hosts."""
    kind = next(_PUBLIC[kind] for kind in type(error).__mro__ if kind in _PUBLIC)
    return kind(f"the server's store failed for {_subject(call)}; its log says why")


def _subject(call: Call) -> str:
    if isinstance(call, WatchCall):
        return f"{len(call.ids):,} promises"
    return "a list" if isinstance(call, List) else f"promise {quoted(call.id)}"


def _safe_trace(error: BaseException) -> str:
    """Return a traceback with a mark before each line, and without controls."""
    lines = "".join(traceback.format_exception(error)).splitlines()
    return "\n".join(f"| {visible(line)}" for line in lines)
