"""`DurablePromise`: one id, typed values, five operations."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Generic, TypeVar, overload

from dp_core._errors import (
    CorruptPromiseError,
    InvalidTimeoutError,
    InvalidValueError,
    PromiseRejectedError,
    PromiseTimeoutError,
    ValueMismatchError,
)
from dp_core._observation import OBSERVERS, Observation
from dp_core._safe_text import quoted, shown, without_password
from dp_core._states import Outcome, Pending, Rejected, Resolved, State
from dp_core.backend import Backend, in_thread, wait_or_peek
from dp_core.values import check_message, decode_as, draft, takes_long

__all__ = ["DurablePromise"]

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
    """

    __slots__ = ("_backend", "_limit", "_store", "_type", "id", "url")

    def __init__(  # noqa: PLR0913, PLR0917 - made by `Promises`
        self,
        id: str,
        type_: type[T],
        backend: Backend,
        url: str,
        limit: int,
        store: str | None = None,
    ) -> None:
        self.id = id
        self.url = url
        self._store = url if store is None else store
        self._backend = backend
        self._type: Any = type_
        self._limit = limit

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
            return await self._decoded(await self._backend.peek(self.id))
        with Observation("peek", self.id, self.url) as observed:
            observed.state = state = await self._backend.peek(self.id)
            return await self._decoded(state)

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
        _check_timeout(timeout)
        if not OBSERVERS:
            return await self._value(
                await wait_or_peek(self._backend, self.id, timeout), timeout
            )
        with Observation("get", self.id, self.url) as observed:
            observed.state = state = await wait_or_peek(self._backend, self.id, timeout)
            return await self._value(state, timeout)

    # Without a value it is null, which only some types have.
    @overload
    async def resolve(self: DurablePromise[None]) -> Resolved[None] | Rejected: ...
    @overload
    async def resolve(self, value: T) -> Resolved[T] | Rejected: ...
    async def resolve(self, value: Any = None) -> Resolved[Any] | Rejected:
        """
        Settle the promise with a value, unless it is settled already.

        Safe to repeat, until somebody disposes of it: the first settle wins.

        Returns:
            The outcome of the promise, ours or somebody else's, as every other
            reader will see it.

        Raises:
            InvalidValueError: The value is not strict JSON, or too large.
            ValueMismatchError: It is not of this handle's type; or, where the
                error has an ``id``, the value that won is not.
            OutcomeUnknownError: Interrupted; repeat it to learn the outcome.
            BackendError: The store could not be asked.
        """
        if not OBSERVERS:
            resolution = await self._encoded(value)
            return await self._outcome(await self._backend.settle(self.id, resolution))
        with Observation("resolve", self.id, self.url) as observed:
            observed.asked = resolution = await self._encoded(value)
            observed.state = won = await self._backend.settle(self.id, resolution)
            return await self._outcome(won)

    async def reject(self, error: str) -> Resolved[T] | Rejected:
        """
        Settle the promise with an error message, unless it is settled already.

        Safe to repeat, until somebody disposes of it: the first settle wins.

        Returns:
            The outcome of the promise, ours or somebody else's.

        Raises:
            InvalidValueError: *error* is not a Unicode string, or too large.
            OutcomeUnknownError: Interrupted; repeat it to learn the outcome.
            BackendError: The store could not be asked.
        """
        if not OBSERVERS:
            rejection = Rejected(check_message(error, self._limit))
            return await self._outcome(await self._backend.settle(self.id, rejection))
        with Observation("reject", self.id, self.url) as observed:
            observed.asked = rejection = Rejected(check_message(error, self._limit))
            observed.state = won = await self._backend.settle(self.id, rejection)
            return await self._outcome(won)

    async def dispose(self) -> None:
        """
        Forget the promise: its waiters get an error, its id starts afresh.

        Raises:
            OutcomeUnknownError: Interrupted; repeating it may dispose of an
                outcome that came in between.
            BackendError: The store could not be asked.
        """
        if not OBSERVERS:
            await self._backend.dispose(self.id)
            return
        with Observation("dispose", self.id, self.url) as observed:
            await self._backend.dispose(self.id)
            observed.state = Pending()

    async def _value(self, state: State[bytes], timeout: float | None) -> T:
        match await self._decoded(state):
            case Resolved(value):
                return value
            case Rejected(error):
                raise PromiseRejectedError(error, self.id)
            case Pending():
                raise PromiseTimeoutError(self.id, timeout or 0.0)

    async def _encoded(self, value: T | None) -> Resolved[bytes]:
        written = draft(value, self._limit)
        text = await in_thread(written.text) if written.takes_long else written.text()
        if self._type is not Any:
            # A check: what this handle could not read back is refused now, while
            # nothing has happened. Plain JSON can always be read back.
            await self._read(text)
        return Resolved(text)

    async def _read(self, text: bytes) -> T:
        """Return the value of JSON text; off the event loop where it takes long."""
        value: T
        if takes_long(text):
            value = await in_thread(decode_as, text, self._type)
        else:
            value = decode_as(text, self._type)
        return value

    async def _decoded(self, state: State[bytes]) -> State[T]:
        return state if isinstance(state, Pending) else await self._outcome(state)

    async def _outcome(self, outcome: Outcome[bytes]) -> Resolved[T] | Rejected:
        try:
            match outcome:
                case Resolved(text):
                    return Resolved(await self._read(text))
                case Rejected(error):
                    check_message(error, len(error) * 6 + 2)
                    return outcome
        except ValueMismatchError as error:
            raise ValueMismatchError(error.type_name, error.reason, self.id) from None
        except InvalidValueError as error:
            raise CorruptPromiseError(
                f"promise {quoted(self.id)} holds what a store never takes: {error}; "
                "restore it from a backup, or dispose of the promise"
            ) from None
        raise TypeError(f"a backend returned {shown(outcome)}")


def _check_timeout(timeout: object) -> None:
    """
    Refuse what is not a length of time.

    Raises:
        InvalidTimeoutError: It is not.
    """
    if timeout is None:
        return
    try:
        is_length = not isinstance(timeout, bool) and float(timeout) >= 0  # type: ignore[arg-type] # any object may come
    except (TypeError, ValueError, OverflowError):
        is_length = False
    if not is_length or isinstance(timeout, str | bytes):
        raise InvalidTimeoutError(shown(timeout))
