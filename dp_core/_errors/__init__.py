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
    ├── InvalidLinkError              no link can be made from this
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
    ├── EventLoopRunningError         dp_core.sync, where code is async
    ├── AsyncMismatchError            `with` where it is `async with`, or the like
    ├── UnknownBackendError           no backend for this URL
    └── DuplicateBackendError         two plugins claim one URL scheme

An error keeps its fields in ``args`` and makes its text from them, so that
it survives pickling and may cross processes.
"""

from dp_core._errors._asked import (
    AsyncMismatchError,
    EventLoopRunningError,
    InvalidLinkError,
    InvalidPromiseIdError,
    InvalidQueryError,
    InvalidTermsError,
    InvalidTimeoutError,
    InvalidTypeError,
)
from dp_core._errors._base import DurablePromiseError
from dp_core._errors._outcomes import (
    PromiseDisposedError,
    PromiseExistsError,
    PromiseRejectedError,
    PromiseTimeoutError,
)
from dp_core._errors._plugins import DuplicateBackendError, UnknownBackendError
from dp_core._errors._stores import (
    AccessDeniedError,
    BackendClosedError,
    BackendError,
    BackendUnavailableError,
    CorruptPromiseError,
    NotSupportedError,
    OutcomeUnknownError,
    ProtocolError,
)
from dp_core._errors._values import CodecError, InvalidValueError, ValueMismatchError

__all__ = [
    "AccessDeniedError",
    "AsyncMismatchError",
    "BackendClosedError",
    "BackendError",
    "BackendUnavailableError",
    "CodecError",
    "CorruptPromiseError",
    "DuplicateBackendError",
    "DurablePromiseError",
    "EventLoopRunningError",
    "InvalidLinkError",
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
