"""
Errors: `DurablePromiseError` and all that this library raises on purpose.

::

    DurablePromiseError
    ├── PromiseRejectedError          get(): the promise was rejected
    ├── PromiseDisposedError          get(): somebody disposed of the promise
    ├── PromiseTimeoutError           get(timeout=...): still pending
    ├── InvalidPromiseIdError         the id cannot name a promise
    ├── InvalidTimeoutError           the time limit is not a length of time
    ├── InvalidTypeError              no value can be kept as this type
    ├── InvalidTermsError             no promise can have these terms
    ├── InvalidQueryError             nothing can be listed by this
    ├── PromiseExistsError            create(exist_ok=False): it has other terms
    ├── CodecError
    │   ├── InvalidValueError         the value is not strict JSON
    │   └── ValueMismatchError        the value is not of the promise's type
    ├── BackendError
    │   ├── BackendUnavailableError   not reached, or not usable: nothing done
    │   ├── OutcomeUnknownError       interrupted: done or not done; ask again
    │   ├── CorruptPromiseError       what is stored is damaged
    │   ├── AccessDeniedError         no valid token, or not allowed
    │   ├── BackendClosedError        used after aclose()
    │   ├── NotSupportedError         the store has no terms, list or streams
    │   └── ProtocolError             a peer did not speak the wire
    ├── UnknownBackendError           no backend for this URL
    └── DuplicateBackendError         two plugins claim one URL scheme

An error keeps its fields in ``args`` and makes its text from them, so that
it survives pickling and may cross processes.
"""

from __future__ import annotations

from dp_core._safe_text import quoted, repr_of, without_password

__all__ = [
    "AccessDeniedError",
    "BackendClosedError",
    "BackendError",
    "BackendUnavailableError",
    "CodecError",
    "CorruptPromiseError",
    "DuplicateBackendError",
    "DurablePromiseError",
    "InvalidPromiseIdError",
    "InvalidQueryError",
    "InvalidTermsError",
    "InvalidTimeoutError",
    "InvalidTypeError",
    "InvalidValueError",
    "NotSupportedError",
    "OutcomeUnknownError",
    "PromiseDisposedError",
    "PromiseExistsError",
    "PromiseRejectedError",
    "PromiseTimeoutError",
    "ProtocolError",
    "UnknownBackendError",
    "ValueMismatchError",
]


class DurablePromiseError(Exception):
    """Base of all errors of this library."""

    def __repr__(self) -> str:
        # An argument may be what was refused because it cannot be shown.
        return f"{type(self).__name__}({', '.join(map(repr_of, self.args))})"


class PromiseRejectedError(DurablePromiseError):
    """
    The promise was rejected, and its value was asked for.

    Attributes:
        error: The message the promise was rejected with, unchanged.
        id: The promise's id; None where only the outcome is known.
    """

    def __init__(self, error: str, id: str | None = None) -> None:
        super().__init__(error, id)
        self.error = error
        self.id = id
        if id is not None:
            # The text is the message, for people; a traceback names the promise, too.
            self.add_note(f"promise {quoted(id)} was rejected with this message")

    def __str__(self) -> str:
        return self.error


class PromiseDisposedError(DurablePromiseError):
    """
    The promise was disposed of while somebody waited for it.

    Its id starts afresh as a pending promise: call ``get`` again to wait for
    that one.

    Attributes:
        id: The promise's id.
    """

    def __init__(self, id: str) -> None:
        super().__init__(id)
        self.id = id

    def __str__(self) -> str:
        return (
            f"promise {quoted(self.id)} was disposed of while you waited; "
            "its id is pending again, call get() to wait anew"
        )


class PromiseTimeoutError(DurablePromiseError, TimeoutError):
    """
    The promise was still pending when the caller's time was over.

    The promise is untouched; asking again is safe.

    Attributes:
        id: The promise's id.
        seconds: How long the caller waited, in seconds.
    """

    def __init__(self, id: str, seconds: float) -> None:
        super().__init__(id, seconds)
        self.id = id
        self.seconds = seconds

    def __str__(self) -> str:
        return (
            f"promise {quoted(self.id)} is still pending after "
            f"{self.seconds:g} s; it can be awaited again"
        )


class InvalidPromiseIdError(DurablePromiseError, ValueError):
    """
    The text cannot be the id of a promise.

    Attributes:
        id: What was given as an id.
        reason: What is wrong with it.
    """

    def __init__(self, id: object, reason: str) -> None:
        super().__init__(id, reason)
        self.id = id
        self.reason = reason

    def __str__(self) -> str:
        shown = f"an object of type {type(self.id).__name__}"
        if isinstance(self.id, str):
            shown = quoted(self.id)
        return (
            f"invalid promise id {shown}: {self.reason} (an id is 1 to 1,024 "
            "bytes of UTF-8 without NUL)"
        )


class InvalidTimeoutError(DurablePromiseError, ValueError):
    """
    A time limit is not a length of time.

    Attributes:
        shown: What was given, as text.
    """

    def __init__(self, shown: str) -> None:
        super().__init__(shown)
        self.shown = shown

    def __str__(self) -> str:
        return (
            f"{self.shown} is not a valid timeout: write a number of seconds, 0 or "
            "more, or None for as long as it takes"
        )


class InvalidTypeError(DurablePromiseError, TypeError):
    """
    A promise cannot have values of this type.

    Attributes:
        shown: What was given as a type, as text.
        reason: What is wrong with it, and what to write instead.
    """

    def __init__(self, shown: str, reason: str) -> None:
        super().__init__(shown, reason)
        self.shown = shown
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.shown} is not a valid type of values: {self.reason}"


class InvalidTermsError(DurablePromiseError, ValueError):
    """
    No promise can have these terms, or this settler.

    Attributes:
        reason: What is wrong with them, and what to write instead.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class InvalidQueryError(DurablePromiseError, ValueError):
    """
    Promises cannot be listed, or pruned, by this.

    Attributes:
        reason: What is wrong with it, and what to write instead.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class PromiseExistsError(DurablePromiseError):
    """
    The promise has other terms already, and ``exist_ok=False`` was given.

    Attributes:
        id: The promise's id.
    """

    def __init__(self, id: str) -> None:
        super().__init__(id)
        self.id = id

    def __str__(self) -> str:
        return (
            f"promise {quoted(self.id)} was created with other terms; take another id, "
            "or exist_ok=True to use it as it is"
        )


class CodecError(DurablePromiseError, ValueError):
    """A value could not be turned into JSON text, or back."""


class InvalidValueError(CodecError):
    """
    The value is not strict JSON (RFC 8259, and the limits of `dp_core`).

    Attributes:
        place: Where in the value, as a JSONPath (RFC 9535): ``$`` is the
            value itself, ``$.items[3]`` the fourth item of its "items".
        reason: What is wrong there, and what to do about it.
    """

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(place, reason)
        self.place = place
        self.reason = reason

    def __str__(self) -> str:
        return f"not a JSON value at {self.place}: {self.reason}"


class ValueMismatchError(CodecError):
    """
    A value does not fit the type its promise was given.

    Attributes:
        type_name: The type that was asked for.
        reason: What did not fit, and where.
        id: The promise that holds the value; None where the value was offered
            to `resolve`, so that nothing has happened.
    """

    def __init__(self, type_name: str, reason: str, id: str | None = None) -> None:
        super().__init__(type_name, reason, id)
        self.type_name = type_name
        self.reason = reason
        self.id = id

    def __str__(self) -> str:
        if self.id is None:
            return f"the value is not a valid {self.type_name}: {self.reason}"
        return (
            f"promise {quoted(self.id)} holds a value that is not a valid "
            f"{self.type_name}: {self.reason}; open it without a type to see it"
        )


class BackendError(DurablePromiseError):
    """
    The store failed, or its server did; every outcome is as it was.

    Attributes:
        reason: What failed and what to do, in words for a person.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class BackendUnavailableError(BackendError):
    """The backend could not be reached or used; the promise is untouched."""


class OutcomeUnknownError(BackendError):
    """
    An operation was interrupted after it may have taken effect.

    Repeat it: the first settle wins, so the repetition returns the outcome, unless
    somebody has disposed of the promise: then it settles the next one.
    """


class CorruptPromiseError(BackendError):
    """The record of a promise is damaged; it is never taken for a value."""


class AccessDeniedError(BackendError):
    """Access denied: credentials are missing, wrong, or not sufficient."""


class BackendClosedError(BackendError):
    """The handle was used after ``aclose()``."""


class NotSupportedError(BackendError):
    """The store does not have it: terms, a list of what it holds, or event streams."""


class ProtocolError(BackendError):
    """
    A peer did not speak the wire of durable promises.

    Attributes:
        status: The HTTP status that says so.
        reason: What was wrong, in words for a person.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.args = (status, reason)
        self.status = status

    def __str__(self) -> str:
        return f"{self.reason} (HTTP {self.status})"


class UnknownBackendError(DurablePromiseError, LookupError):
    """
    No backend is registered for a store URL.

    Attributes:
        url: The store URL.
        reason: Which URLs are known instead, and what to install.
    """

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(url, reason)
        self.url = url
        self.reason = reason

    def __str__(self) -> str:
        shown = quoted(without_password(self.url))
        return f"no backend for store URL {shown}: {self.reason}"


class DuplicateBackendError(DurablePromiseError):
    """
    Two plugins claim the same URL scheme.

    Attributes:
        scheme: The URL scheme both claim.
        plugins: The plugins, as their packages name them.
    """

    def __init__(self, scheme: str, plugins: tuple[str, ...]) -> None:
        super().__init__(scheme, plugins)
        self.scheme = scheme
        self.plugins = plugins

    def __str__(self) -> str:
        return (
            f"the URL scheme {self.scheme!r} is claimed by "
            f"{' and by '.join(self.plugins)}; uninstall one of them"
        )
