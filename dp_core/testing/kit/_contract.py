"""
`CONTRACT`: the sentences of the backend contract, as `dp_core.backend` has them.

Every law spells out one of them; a test compares them with the original.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "BYTES",
    "CANCEL",
    "CANCELLABLE",
    "CLOSE",
    "CLOSED",
    "CONCURRENT",
    "CONTRACT",
    "DISPOSE",
    "DISPOSED_WAIT",
    "DISPOSE_DURABLE",
    "FIRST_WINS",
    "IDS",
    "NO_LOST_WAKE_UP",
    "PEEK",
    "SETTLE",
    "STANDS",
    "SURVIVES",
    "TWICE",
]

FIRST_WINS: Final = (
    "The first completion wins, until the promise is disposed of. Later ones "
    "change nothing and are told what won."
)
SURVIVES: Final = (
    "What `settle` has returned survives the crash of any process, and a power "
    "cut where the backend is durable."
)
STANDS: Final = (
    "What `peek`, `wait` or `settle` ever returned never changes and never "
    "disappears, except by `dispose`: nothing is shown before it is durable."
)
NO_LOST_WAKE_UP: Final = (
    "`wait` returns whether the completion comes before it, after it, or from "
    "elsewhere; no wake-up is lost."
)
CANCEL: Final = (
    "Cancelling any operation leaves a whole state, and repeating it is safe."
)
BYTES: Final = "It does not look into a value and returns it byte for byte."
IDS: Final = "ids are compared as they are."
CONCURRENT: Final = "All methods may be called concurrently."
CANCELLABLE: Final = "All are cancellable"
PEEK: Final = "Return the promise's state without waiting for anybody."
SETTLE: Final = "Complete the promise unless it is complete; return what stands."
DISPOSE: Final = "Forget the promise; its id is pending again, and afresh."
DISPOSED_WAIT: Final = "Whoever is in `wait` for it gets `PromiseDisposedError`."
DISPOSE_DURABLE: Final = "Returns once the disposal is durable."
CLOSE: Final = "Release what this handle holds; promises are not touched."
TWICE: Final = "Closing twice is no error."
CLOSED: Final = "Operations after it raise `BackendClosedError`."

CONTRACT: Final = (
    FIRST_WINS,
    SURVIVES,
    STANDS,
    NO_LOST_WAKE_UP,
    CANCEL,
    BYTES,
    IDS,
    CONCURRENT,
    CANCELLABLE,
    PEEK,
    SETTLE,
    DISPOSE,
    DISPOSED_WAIT,
    DISPOSE_DURABLE,
    CLOSE,
    TWICE,
    CLOSED,
)
"""All sentences, in the order of the contract."""
