"""
Durable promises without async: the same names and meanings as `dp_core`, blocking.

.. code-block:: python

    import dp_core.sync as dp

    with dp.connect("file:./promises") as promises:
        promise = promises.promise("my-durable-promise-id")
        won = promise.resolve("This promise will notify everyone")
        value = promise.get()

For scripts, threads, and programs that are not async: from any thread, after a fork,
and in what was registered with `atexit`. Ctrl-C interrupts a call, which is then
cancelled as an async one would be. In a thread whose event loop runs, every call is an
`EventLoopRunningError`, which says what to write.

What was written for `dp_core` differs by ``await``, ``async`` and the name of
`Promises.close`.
"""

from dp_core import (
    DEADLINE_PASSED,
    DEFAULT_URL,
    MAX_CALLBACKS,
    MAX_ID_BYTES,
    MAX_TAG_BYTES,
    MAX_TAGS,
    SETTLED,
    TRANSITIONS,
    AccessDeniedError,
    AsyncMismatchError,
    Backend,
    BackendClosedError,
    BackendError,
    BackendUnavailableError,
    Callback,
    CodecError,
    Command,
    CorruptPromiseError,
    Dispose,
    DuplicateBackendError,
    DurablePromiseError,
    EventLoopRunningError,
    InvalidLinkError,
    InvalidPromiseIdError,
    InvalidQueryError,
    InvalidTermsError,
    InvalidTimeoutError,
    InvalidTypeError,
    InvalidValueError,
    NotSupportedError,
    Outcome,
    OutcomeUnknownError,
    Pending,
    PromiseDisposedError,
    PromiseExistsError,
    PromiseInfo,
    PromiseRejectedError,
    PromiseTimeoutError,
    ProtocolError,
    Query,
    Reject,
    Rejected,
    Resolve,
    Resolved,
    State,
    Terms,
    UnknownBackendError,
    ValueMismatchError,
    __version__,
    default_url,
    hookimpl,
    installed_schemes,
    settle_command,
    transition,
)
from dp_core._public import publish
from dp_core.sync._client import Promises, connect, durable_promise
from dp_core.sync._combinators import (
    AsSettled,
    all_settled,
    as_settled,
    gather,
    race,
)
from dp_core.sync._promise import DurablePromise
from dp_core.values import MAX_DEPTH, MAX_VALUE_BYTES

__all__ = [
    "DEADLINE_PASSED",
    "DEFAULT_URL",
    "MAX_CALLBACKS",
    "MAX_DEPTH",
    "MAX_ID_BYTES",
    "MAX_TAGS",
    "MAX_TAG_BYTES",
    "MAX_VALUE_BYTES",
    "SETTLED",
    "TRANSITIONS",
    "AccessDeniedError",
    "AsSettled",
    "AsyncMismatchError",
    "Backend",
    "BackendClosedError",
    "BackendError",
    "BackendUnavailableError",
    "Callback",
    "CodecError",
    "Command",
    "CorruptPromiseError",
    "Dispose",
    "DuplicateBackendError",
    "DurablePromise",
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
    "Outcome",
    "OutcomeUnknownError",
    "Pending",
    "PromiseDisposedError",
    "PromiseExistsError",
    "PromiseInfo",
    "PromiseRejectedError",
    "PromiseTimeoutError",
    "Promises",
    "ProtocolError",
    "Query",
    "Reject",
    "Rejected",
    "Resolve",
    "Resolved",
    "State",
    "Terms",
    "UnknownBackendError",
    "ValueMismatchError",
    "__version__",
    "all_settled",
    "as_settled",
    "connect",
    "default_url",
    "durable_promise",
    "gather",
    "hookimpl",
    "installed_schemes",
    "race",
    "settle_command",
    "transition",
]

publish(__name__, __all__)
