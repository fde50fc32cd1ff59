"""
Durable promises: promises that outlive the process that made them.

.. code-block:: python

    import dp_core as dp

    async with dp.connect("file:./promises") as promises:
        promise = promises.promise("my-durable-promise-id")
        won = await promise.resolve("This promise will notify everyone")
        value = await promise.get()
"""

from dp_core._client import (
    DEFAULT_URL,
    Promises,
    connect,
    default_url,
    durable_promise,
)
from dp_core._codec import MAX_DEPTH, MAX_VALUE_BYTES
from dp_core._errors import (
    AccessDeniedError,
    BackendClosedError,
    BackendError,
    BackendUnavailableError,
    CodecError,
    CorruptPromiseError,
    DuplicateBackendError,
    DurablePromiseError,
    InvalidPromiseIdError,
    InvalidValueError,
    OutcomeUnknownError,
    PromiseDisposedError,
    PromiseRejectedError,
    PromiseTimeoutError,
    ProtocolError,
    UnknownBackendError,
    ValueMismatchError,
)
from dp_core._ids import MAX_ID_BYTES
from dp_core._plugins import installed_schemes
from dp_core._promise import DurablePromise
from dp_core._states import (
    TRANSITIONS,
    Command,
    Dispose,
    Outcome,
    Pending,
    Reject,
    Rejected,
    Resolve,
    Resolved,
    State,
    completion,
    transition,
)
from dp_core._version import __version__
from dp_core.backend import Backend
from dp_core.hookspecs import hookimpl

__all__ = [
    "DEFAULT_URL",
    "MAX_DEPTH",
    "MAX_ID_BYTES",
    "MAX_VALUE_BYTES",
    "TRANSITIONS",
    "AccessDeniedError",
    "Backend",
    "BackendClosedError",
    "BackendError",
    "BackendUnavailableError",
    "CodecError",
    "Command",
    "CorruptPromiseError",
    "Dispose",
    "DuplicateBackendError",
    "DurablePromise",
    "DurablePromiseError",
    "InvalidPromiseIdError",
    "InvalidValueError",
    "Outcome",
    "OutcomeUnknownError",
    "Pending",
    "PromiseDisposedError",
    "PromiseRejectedError",
    "PromiseTimeoutError",
    "Promises",
    "ProtocolError",
    "Reject",
    "Rejected",
    "Resolve",
    "Resolved",
    "State",
    "UnknownBackendError",
    "ValueMismatchError",
    "__version__",
    "completion",
    "connect",
    "default_url",
    "durable_promise",
    "hookimpl",
    "installed_schemes",
    "transition",
]


def _show_public_names() -> None:
    """Let reprs and tracebacks say ``dp_core.Resolved``, as users write it."""
    for name in __all__:
        value = globals()[name]
        if getattr(value, "__module__", "").startswith("dp_core._"):
            value.__module__ = __name__


_show_public_names()
