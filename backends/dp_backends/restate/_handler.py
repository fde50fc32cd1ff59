"""
Durable promises for handlers: each operation is a durable step of theirs.

What an operation returned stands in the journal of the invocation. After a
crash the handler is told the same again, and nothing is done twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, Generic, TypeVar, overload

from restate import Context, TerminalError

from dp_backends.restate._calls import OBJECT, wait
from dp_core import (
    MAX_VALUE_BYTES,
    Backend,
    DurablePromise,
    DurablePromiseError,
    Outcome,
    Pending,
    PromiseDisposedError,
    Promises,
    PromiseTimeoutError,
    Rejected,
    Resolved,
    State,
)
from dp_core.wire import (
    DISPOSED_MESSAGE,
    Peek,
    Settle,
    Wait,
    read_answer,
    write_error,
    write_settle,
)

__all__ = ["HandlerPromise", "durable_promise"]

T = TypeVar("T")

_URL: Final = "restate:"


@overload
def durable_promise(id: str, ctx: Context) -> HandlerPromise[Any]: ...
@overload
def durable_promise(id: str, ctx: Context, type: type[T]) -> HandlerPromise[T]: ...
def durable_promise(id: str, ctx: Context, type: Any = Any) -> HandlerPromise[Any]:
    """
    Return a handle on a promise, for the invocation whose context is *ctx*.

    It is the promise that everybody else reaches through Restate's ingress.
    Making the handle is no step.

    Args:
        id: The promise's id.
        ctx: The context that Restate gave to the handler.
        type: What the values are, as for `dp_core.Promises.promise`.

    Raises:
        InvalidPromiseIdError: *id* cannot name a promise.
    """
    with _final():
        Promises(_Steps(ctx), _URL).promise(id)
    return HandlerPromise(id, type, ctx)


class HandlerPromise(DurablePromise[T], Generic[T]):
    """
    A handle on the promise with one id, for one invocation of a handler.

    It is used like any `dp_core.DurablePromise` and raises the same errors. One
    that the handler does not catch fails the invocation: what a promise says
    would not be different the next time, so Restate does not try again.
    """

    __slots__ = ("_ctx", "_values")

    def __init__(self, id: str, type_: type[T], ctx: Context) -> None:
        super().__init__(id, type_, _Steps(ctx), _URL, MAX_VALUE_BYTES)
        self._ctx = ctx
        self._values = type_

    async def peek(self) -> State[T]:
        with _final():
            return await super().peek()

    async def get(self, timeout: float | None = None) -> T:
        """
        Wait for the promise and return its value.

        Args:
            timeout: How long to wait, in seconds; None for as long as it takes.
                That time goes on while the handler's process is down.

        Raises:
            PromiseRejectedError: The promise was rejected.
            PromiseDisposedError: It was disposed of while we waited.
            PromiseTimeoutError: It is still pending after *timeout*.
            ValueMismatchError: The value is not of this handle's type.
        """
        # A deadline of the event loop would be another one after a crash.
        steps = _Steps(self._ctx, timeout)
        with _final():
            return await Promises(steps, _URL).promise(self.id, self._values).get()

    async def resolve(self, value: T | None = None) -> Resolved[T] | Rejected:
        with _final():
            return await super().resolve(value)

    async def reject(self, error: str) -> Resolved[T] | Rejected:
        with _final():
            return await super().reject(error)


@contextmanager
def _final() -> Iterator[None]:
    """Make our errors end an invocation that does not catch them."""
    try:
        yield
    except DurablePromiseError as error:
        # Restate's SDK tries again after any error, unless it is a TerminalError
        # or was caused by one.
        raise error from TerminalError(str(error), write_error(error)[0])


class _Steps(Backend):
    """The operations as steps of an invocation; a wait ends after *seconds*."""

    def __init__(self, ctx: Context, seconds: float | None = None) -> None:
        self._ctx = ctx
        self._seconds = seconds

    async def peek(self, id: str) -> State[bytes]:
        stands = await self._ctx.generic_call(OBJECT, "peek", b"", key=id)
        return read_answer(Peek(id), 200, stands)

    async def settle(self, id: str, outcome: Outcome[bytes]) -> Outcome[bytes]:
        operation, argument = write_settle(outcome)
        stands = await self._ctx.generic_call(OBJECT, operation, argument, key=id)
        return read_answer(Settle(id, outcome), 200, stands)

    async def wait(self, id: str) -> Outcome[bytes]:
        try:
            stands = await wait(self._ctx, id, self._seconds)
        except TerminalError as error:
            if error.message == DISPOSED_MESSAGE:
                raise PromiseDisposedError(id) from None
            raise
        state = read_answer(Wait(id), 200, stands)
        if isinstance(state, Pending):
            raise PromiseTimeoutError(id, self._seconds or 0.0)
        return state

    async def dispose(self, id: str) -> None:
        await self._ctx.generic_call(OBJECT, "dispose", b"", key=id)

    async def aclose(self) -> None:
        """Hold nothing: the context is Restate's."""
