"""`DurablePromise`: one id, typed values, six operations."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import suppress
from typing import Any, Generic, TypeVar, overload

from dp_core._codec import Codec
from dp_core._errors import (
    InvalidTimeoutError,
    PromiseRejectedError,
    PromiseTimeoutError,
)
from dp_core._observation import OBSERVERS, Observation
from dp_core._outbox import dispose_with_deliveries
from dp_core._registry import registry_of
from dp_core._states import Pending, Rejected, Resolved, State
from dp_core._terms import PromiseInfo, Terms, check_name
from dp_core._text import quoted, shown, without_password
from dp_core._type_form import TypeForm
from dp_core.backend import Backend, wait_or_peek

__all__ = ["DurablePromise", "seconds_of"]

T = TypeVar("T")


class DurablePromise(Generic[T]):
    """
    A handle on the promise with one id, in one store.

    Made by `Promises.promise` or `durable_promise`; making it does no I/O.
    Handles are cheap and equal in rights: any number of them, in any number of
    processes, may await and settle the same promise in any order. Two are equal
    where store and id are; the type does not count.

    Attributes:
        id: The promise's id.
        url: The store's URL.
        terms: The terms that `Promises.create` found; None for other handles.
    """

    __slots__ = ("_backend", "_codec", "_store", "id", "terms", "url")

    def __init__(  # noqa: PLR0913, PLR0917 - made by `Promises`
        self,
        id: str,
        type_: TypeForm[T],
        backend: Backend,
        url: str,
        limit: int,
        store: str | None = None,
    ) -> None:
        self.id = id
        self.url = url
        self._store = url if store is None else store
        self._backend = backend
        self._codec: Codec[T] = Codec(type_, limit)
        self.terms: Terms[T] | None = None

    def __repr__(self) -> str:
        url = without_password(self.url)
        return f"<DurablePromise {quoted(self.id)} at {quoted(url)}>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, DurablePromise):
            return NotImplemented
        return (self._store, self.id) == (other._store, other.id)

    def __hash__(self) -> int:
        return hash((self._store, self.id))

    def __await__(self) -> Generator[Any, Any, T]:
        """``await promise`` is ``await promise.get()``."""
        return self.get().__await__()

    async def peek(self) -> State[T]:
        """
        Return `Pending`, `Resolved` or `Rejected`, without waiting for anybody.

        Raises:
            ValueMismatchError: The value is not of this handle's type.
            BackendError: The store could not be asked.
        """
        if not OBSERVERS:
            state = await self._backend.peek(self.id)
            return await self._codec.decode_state(self.id, state)
        with Observation("peek", self.id, self.url) as observed:
            observed.state = state = await self._backend.peek(self.id)
            return await self._codec.decode_state(self.id, state)

    async def get(self, timeout: float | None = None) -> T:
        """
        Wait for the promise and return its value.

        Args:
            timeout: The longest wait in seconds; None for as long as it takes.

        Raises:
            PromiseRejectedError: The promise was rejected.
            PromiseDisposedError: It was disposed of while we waited.
            PromiseTimeoutError: It is still pending after *timeout*.
            InvalidTimeoutError: *timeout* is not a number of seconds, 0 or more.
            ValueMismatchError: The value is not of this handle's type.
            BackendError: The store could not be asked.
        """
        timeout = seconds_of(timeout)
        if not OBSERVERS:
            return await self._value(
                await wait_or_peek(self._backend, self.id, timeout), timeout
            )
        with Observation("get", self.id, self.url) as observed:
            observed.state = state = await wait_or_peek(self._backend, self.id, timeout)
            return await self._value(state, timeout)

    # Without a value it is null, which only some types have.
    @overload
    async def resolve(
        self: DurablePromise[None], *, by: str | None = None
    ) -> Resolved[None] | Rejected: ...
    @overload
    async def resolve(
        self, value: T, *, by: str | None = None
    ) -> Resolved[T] | Rejected: ...
    async def resolve(
        self, value: Any = None, *, by: str | None = None
    ) -> Resolved[Any] | Rejected:
        """
        Settle the promise with a value, unless it is settled already.

        Safe to repeat, until somebody disposes of it: the first settle wins.

        Args:
            value: The value.
            by: Who says so, for `PromiseInfo.settled_by`: at most 256 bytes.

        Returns:
            The outcome of the promise, ours or somebody else's, as every other
            reader will see it. Who has won is in `PromiseInfo.settled_by` of `info`.

        Raises:
            InvalidValueError: The value is not strict JSON, or too large.
            InvalidTermsError: *by* cannot name a settler.
            ValueMismatchError: It is not of this handle's type; or, where the
                error has an ``id``, the value that won is not.
            OutcomeUnknownError: Interrupted; repeat it to learn the outcome.
            BackendError: The store could not be asked.
        """
        if not OBSERVERS:
            asked = Resolved(await self._codec.encode(value), by=_checked(by))
            won = await self._backend.settle(self.id, asked)
            return await self._codec.decode_outcome(self.id, won)
        with Observation("resolve", self.id, self.url) as observed:
            asked = Resolved(await self._codec.encode(value), by=_checked(by))
            observed.asked = asked
            observed.state = won = await self._backend.settle(self.id, asked)
            return await self._codec.decode_outcome(self.id, won)

    async def reject(
        self, error: str, *, by: str | None = None
    ) -> Resolved[T] | Rejected:
        """
        Settle the promise with an error message, unless it is settled already.

        Safe to repeat, until somebody disposes of it: the first settle wins.

        Args:
            error: The message.
            by: Who says so, for `PromiseInfo.settled_by`: at most 256 bytes.

        Returns:
            The outcome of the promise, ours or somebody else's. Who has won is in
            `PromiseInfo.settled_by` of `info`.

        Raises:
            InvalidValueError: *error* is not a Unicode string, or too large.
            InvalidTermsError: *by* cannot name a settler.
            OutcomeUnknownError: Interrupted; repeat it to learn the outcome.
            BackendError: The store could not be asked.
        """
        if not OBSERVERS:
            asked = Rejected(self._codec.check_message(error), by=_checked(by))
            won = await self._backend.settle(self.id, asked)
            return await self._codec.decode_outcome(self.id, won)
        with Observation("reject", self.id, self.url) as observed:
            asked = Rejected(self._codec.check_message(error), by=_checked(by))
            observed.asked = asked
            observed.state = won = await self._backend.settle(self.id, asked)
            return await self._codec.decode_outcome(self.id, won)

    async def info(self) -> PromiseInfo[T]:
        """
        Return all that the store knows about the promise, without waiting.

        Raises:
            NotSupportedError: The store keeps outcomes only.
            ValueMismatchError: The value is not of this handle's type.
            BackendError: The store could not be asked.
        """
        registry = registry_of(self._backend, self.url)
        if not OBSERVERS:
            return await self._codec.decode_info(await registry.info(self.id))
        with Observation("info", self.id, self.url) as observed:
            info = await registry.info(self.id)
            observed.state, observed.terms = info.state, info.terms
            observed.expired = info.expired
            return await self._codec.decode_info(info)

    async def dispose(self) -> None:
        """
        Forget the promise: its waiters get an error, its id starts afresh.

        Raises:
            OutcomeUnknownError: Interrupted; repeating it may dispose of an
                outcome that came in between.
            BackendError: The store could not be asked.
        """
        if not OBSERVERS:
            await dispose_with_deliveries(self._backend, self.id)
            return
        with Observation("dispose", self.id, self.url) as observed:
            await dispose_with_deliveries(self._backend, self.id)
            observed.state = Pending()

    async def _value(self, state: State[bytes], timeout: float | None) -> T:
        match await self._codec.decode_state(self.id, state):
            case Resolved(value):
                return value
            case Rejected(error):
                raise PromiseRejectedError(error, self.id)
            case Pending():  # pragma: no branch - the last of three
                raise PromiseTimeoutError(self.id, timeout or 0.0)


def _checked(by: str | None) -> str | None:
    return None if by is None else check_name(by, "the name of a settler (by)")


def seconds_of(timeout: Any) -> float | None:
    """
    Return a time limit in seconds, of whatever kind of number; None for none.

    Raises:
        InvalidTimeoutError: It is not.
    """
    if timeout is None:
        return None
    # Text is no number, though it may be read as one.
    if not isinstance(timeout, bool | str | bytes):
        with suppress(TypeError, ValueError, OverflowError):
            seconds = float(timeout)
            if seconds >= 0:
                return seconds
    raise InvalidTimeoutError(shown(timeout))
