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
from dp_core._public import publish
from dp_core._states import (
    SETTLED,
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
    settle_command,
    transition,
)
from dp_core._version import __version__
from dp_core.backend import Backend
from dp_core.hookspecs import hookimpl
from dp_core.values import MAX_DEPTH, MAX_VALUE_BYTES

__all__ = [
    "DEFAULT_URL",
    "MAX_DEPTH",
    "MAX_ID_BYTES",
    "MAX_VALUE_BYTES",
    "SETTLED",
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
    "connect",
    "default_url",
    "durable_promise",
    "hookimpl",
    "installed_schemes",
    "settle_command",
    "transition",
]


publish(__name__, __all__)


def __getattr__(name: str) -> object:
    if name == "completion":
        import warnings  # noqa: PLC0415 - only old code needs it

        warnings.warn(
            "dp_core.completion is called dp_core.settle_command",
            DeprecationWarning,
            stacklevel=2,
        )
        return settle_command
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
