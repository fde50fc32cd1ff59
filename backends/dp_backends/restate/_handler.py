"""
`HandlerPromise`: a promise inside a handler, where each operation is a step.

Restate writes the result of a step to the journal of the invocation. After a crash
the handler runs again and gets each result from there; no step is done twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, Generic, TypeVar, overload

from restate import Context, TerminalError

from dp_backends.restate._awakeables import wait_for_answer
from dp_backends.restate._names import INFO, OBJECT, SETTLE_BY
from dp_core import (
    MAX_VALUE_BYTES,
    Backend,
    DurablePromise,
    DurablePromiseError,
    NotSupportedError,
    Outcome,
    Pending,
    PromiseDisposedError,
    PromiseInfo,
    Promises,
    PromiseTimeoutError,
    Query,
    Rejected,
    Resolved,
    State,
    Terms,
)
from dp_core.backend import Page, check_id
from dp_core.wire import (
    DISPOSED_MESSAGE,
    Create,
    Info,
    Peek,
    Settle,
    Wait,
    read_answer,
    write_asked,
    write_call,
    write_error,
    write_settle,
)

__all__ = ["HandlerPromise", "durable_promise"]

T = TypeVar("T")

_URL: Final = "restate:"

_AWAKE: Final = 50.0
"""Seconds without news after which Restate suspends a handler: 60 by default."""


@overload
def durable_promise(id: str, ctx: Context) -> HandlerPromise[Any]: ...
@overload
def durable_promise(id: str, ctx: Context, type: type[T]) -> HandlerPromise[T]: ...
def durable_promise(id: str, ctx: Context, type: Any = Any) -> HandlerPromise[Any]:
    """
    Return a handle on a promise, for the invocation whose context is *ctx*.

    The promise is the one that processes outside of Restate reach through its
    ingress. To make a handle takes no step.

    Args:
        id: The promise's id.
        ctx: The context that Restate gave to the handler.
        type: The type of its values, as for `dp_core.Promises.promise`.

    Raises:
        InvalidPromiseIdError: *id* cannot name a promise.
    """
    with _terminal_cause():
        check_id(id)
    return HandlerPromise(id, type, ctx)


class HandlerPromise(DurablePromise[T], Generic[T]):
    """
    A handle on the promise with one id, for one invocation of a handler.

    It is used like any `dp_core.DurablePromise` and raises the same errors. An
    error that the handler does not catch fails the invocation. Restate does not
    retry it, because the promise's outcome would be the same the next time.
    """

    __slots__ = ("_ctx", "_value_type")

    def __init__(self, id: str, type_: type[T], ctx: Context) -> None:
        super().__init__(id, type_, _JournaledBackend(ctx), _URL, MAX_VALUE_BYTES)
        self._ctx = ctx
        self._value_type = type_

    async def peek(self) -> State[T]:
        with _terminal_cause():
            return await super().peek()

    async def get(self, timeout: float | None = None) -> T:
        """
        Wait for the promise and return its value.

        Args:
            timeout: The longest wait, in seconds; None for as long as it takes.
                Time during which the handler's process is down counts.

        Raises:
            PromiseRejectedError: The promise was rejected.
            PromiseDisposedError: It was disposed of while we waited.
            PromiseTimeoutError: It is still pending after *timeout*.
            ValueMismatchError: The value is not of this handle's type.
        """
        # A timer of Restate's; one of the event loop would begin again in the
        # next process.
        backend = _JournaledBackend(self._ctx, timeout)
        promise = Promises(backend, _URL).promise(self.id, self._value_type)
        with _terminal_cause():
            return await promise.get()

    @overload
    async def resolve(
        self: HandlerPromise[None], *, by: str | None = None
    ) -> Resolved[None] | Rejected: ...
    @overload
    async def resolve(
        self, value: T, *, by: str | None = None
    ) -> Resolved[T] | Rejected: ...
    async def resolve(
        self, value: Any = None, *, by: str | None = None
    ) -> Resolved[Any] | Rejected:
        with _terminal_cause():
            return await super().resolve(value, by=by)

    async def reject(
        self, error: str, *, by: str | None = None
    ) -> Resolved[T] | Rejected:
        with _terminal_cause():
            return await super().reject(error, by=by)

    async def info(self) -> PromiseInfo[T]:
        with _terminal_cause():
            return await super().info()


@contextmanager
def _terminal_cause() -> Iterator[None]:
    """Let our errors fail an invocation that does not catch them."""
    try:
        yield
    except DurablePromiseError as error:
        # Restate's SDK retries an invocation after any error but a TerminalError,
        # or one whose cause is a TerminalError.
        raise error from TerminalError(str(error), write_error(error)[0])


class _JournaledBackend(Backend):
    """
    The operations as steps of an invocation.

    Args:
        ctx: The invocation.
        seconds: The longest wait; None for as long as it takes.
    """

    def __init__(self, ctx: Context, seconds: float | None = None) -> None:
        self._ctx = ctx
        self._seconds = seconds

    async def peek(self, id: str) -> State[bytes]:
        answer = await self._ctx.generic_call(OBJECT, "peek", b"", key=id)
        return read_answer(Peek(id), 200, answer)

    async def settle(self, id: str, outcome: Outcome[bytes]) -> Outcome[bytes]:
        operation, argument = write_settle(outcome)
        if outcome.by is not None:
            operation, argument = SETTLE_BY, write_call(Settle(id, outcome))[1]
        answer = await self._ctx.generic_call(OBJECT, operation, argument, key=id)
        return read_answer(Settle(id, outcome), 200, answer)

    async def wait(self, id: str) -> Outcome[bytes]:
        try:
            answer = await wait_for_answer(self._ctx, id, self._seconds, _AWAKE)
        except TerminalError as error:
            if error.message == DISPOSED_MESSAGE:
                raise PromiseDisposedError(id) from None
            raise
        state = read_answer(Wait(id), 200, answer)
        if isinstance(state, Pending):
            raise PromiseTimeoutError(id, self._seconds or 0.0)
        return state

    async def dispose(self, id: str) -> None:
        await self._ctx.generic_call(OBJECT, "dispose", b"", key=id)

    async def info(self, id: str) -> PromiseInfo[bytes]:
        """Return what is known about a promise; see `dp_core.backend.Registry`."""
        answer = await self._ctx.generic_call(OBJECT, INFO, b"", key=id)
        return read_answer(Info(id), 200, answer)

    # A registry has these, too; no handle of a handler asks for them.

    async def create(  # pragma: no cover
        self, id: str, terms: Terms[bytes]
    ) -> Terms[bytes]:
        """Give a promise its terms; see `dp_core.backend.Registry`."""
        asked = write_asked(terms)
        answer = await self._ctx.generic_call(OBJECT, "create", asked, key=id)
        return read_answer(Create(id, terms), 200, answer)

    async def list(  # pragma: no cover
        self, query: Query, after: str | None, limit: int
    ) -> Page:
        """Refuse: no object knows the others; see `dp_core.backend.Registry`."""
        raise NotSupportedError("Restate does not list its promises to a handler")

    async def sweep(self, limit: int) -> float | None:  # pragma: no cover
        """Settle nothing: Restate does it; see `dp_core.backend.Registry`."""
        return None

    async def aclose(self) -> None:
        """Do nothing: the context belongs to Restate."""
