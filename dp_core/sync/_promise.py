"""`DurablePromise`, blocking: one id, typed values, six operations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from dp_core import _promise
from dp_core._mismatch import Refused
from dp_core._states import Rejected, Resolved, State
from dp_core._terms import PromiseInfo, Terms
from dp_core.sync._run import call

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
        terms: The terms that `Promises.create` found; None for other handles.
    """

    __slots__ = ("_promise",)

    def __init__(self, promise: _promise.DurablePromise[T]) -> None:
        self._promise = promise

    if not TYPE_CHECKING:
        __await__ = Refused("await promise", "promise.get()")

    @property
    def id(self) -> str:
        return self._promise.id

    @property
    def url(self) -> str:
        return self._promise.url

    @property
    def terms(self) -> Terms[T] | None:
        return self._promise.terms

    def __repr__(self) -> str:
        return repr(self._promise)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, DurablePromise):
            return NotImplemented
        return self._promise == other._promise

    def __hash__(self) -> int:
        return hash(self._promise)

    def peek(self) -> State[T]:
        """
        Return `Pending`, `Resolved` or `Rejected`, without waiting for anybody.

        Raises:
            ValueMismatchError: The value is not of this handle's type.
            BackendError: The store could not be asked.
        """
        return call("await promise.peek()", self._promise.peek)

    def get(self, timeout: float | None = None) -> T:
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
        return call("await promise.get()", self._promise.get, timeout)

    @overload
    def resolve(
        self: DurablePromise[None], *, by: str | None = None
    ) -> Resolved[None] | Rejected: ...
    @overload
    def resolve(self, value: T, *, by: str | None = None) -> Resolved[T] | Rejected: ...
    def resolve(
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
        resolve = self._promise.resolve
        return call("await promise.resolve(…)", resolve, value, by=by)

    def reject(self, error: str, *, by: str | None = None) -> Resolved[T] | Rejected:
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
        return call("await promise.reject(…)", self._promise.reject, error, by=by)

    def info(self) -> PromiseInfo[T]:
        """
        Return all that the store knows about the promise, without waiting.

        Raises:
            NotSupportedError: The store keeps outcomes only.
            ValueMismatchError: The value is not of this handle's type.
            BackendError: The store could not be asked.
        """
        return call("await promise.info()", self._promise.info)

    def dispose(self) -> None:
        """
        Forget the promise: its waiters get an error, its id starts afresh.

        Raises:
            OutcomeUnknownError: Interrupted; repeating it may dispose of an
                outcome that came in between.
            BackendError: The store could not be asked.
        """
        call("await promise.dispose()", self._promise.dispose)
