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
    "CLOSED_WAIT",
    "CONCURRENT",
    "CONTRACT",
    "DISPOSE",
    "DISPOSED_WAIT",
    "DISPOSE_DURABLE",
    "FIRST_TERMS",
    "FIRST_WINS",
    "FORGETS_TERMS",
    "IDS",
    "INFO",
    "LATE_LOSES",
    "LISTED",
    "LISTING",
    "NO_LOST_WAKE_UP",
    "ORDER",
    "OVER",
    "PASSING",
    "PEEK",
    "RECOVERY",
    "SETTLE",
    "STAYS",
    "SURVIVES",
    "TOLD",
    "TWICE",
    "WATCHED",
    "WATCH_CLOSED",
    "WATCH_LASTS",
    "WATCH_LEAVES",
    "WATCH_TELLS",
]

FIRST_WINS: Final = (
    "The first outcome wins, until the promise is disposed of. Later settles "
    "change nothing and return it."
)
SURVIVES: Final = (
    "An outcome that `settle` has returned survives the crash of any process, and "
    "a power cut where the backend is durable."
)
STAYS: Final = (
    "An outcome that `peek`, `wait` or `settle` ever returned never changes and "
    "never disappears, except by `dispose`: none is returned before it is durable."
)
NO_LOST_WAKE_UP: Final = (
    "`wait` returns whether the promise is settled before it, after it, or from "
    "elsewhere; no wake-up is lost."
)
CANCEL: Final = (
    "Cancelling any operation leaves a whole state, and repeating it is safe."
)
BYTES: Final = "It does not look into a value and returns it byte for byte."
IDS: Final = "ids are compared as they are."
CONCURRENT: Final = "All methods may be called concurrently."
CANCELLABLE: Final = "All are cancellable"
RECOVERY: Final = (
    "A handle outlives the failure of an operation: once what failed works again, so "
    "does the handle, and what was not acknowledged is looked up, not assumed."
)
PASSING: Final = (
    "A failure that may pass does not end it: too many open files, a store that is "
    "away for a while, a server that restarts."
)
PEEK: Final = "Return the promise's state without waiting for anybody."
SETTLE: Final = "Settle the promise unless it is settled; return its outcome."
DISPOSE: Final = "Forget the promise; its id is pending again, and afresh."
DISPOSED_WAIT: Final = "Its waiters get `PromiseDisposedError`."
DISPOSE_DURABLE: Final = "Returns once the disposal is durable."
CLOSE: Final = "Release what this handle holds; promises are not touched."
TWICE: Final = "Closing twice is allowed."
CLOSED_WAIT: Final = (
    "Its waits end with `BackendClosedError`, in whatever thread and event loop they "
    "are."
)
CLOSED: Final = "Operations after it raise `BackendClosedError`."

# Of `dp_core.backend.Registry`.

FIRST_TERMS: Final = (
    "Terms are given to a generation once. The first ones stand, whether the promise "
    "is pending or settled; they are durable before they are returned, and before "
    "anything is settled by them."
)
FORGETS_TERMS: Final = "`dispose` forgets them."
OVER: Final = (
    "`peek`, `settle`, `wait`, `info` and `list` show nobody a promise pending whose "
    "deadline is over by the store's clock: they settle it first, with what its terms "
    "say, as anybody would. So once anybody was shown an outcome, all are."
)
TOLD: Final = (
    "A wait is told within a second of a deadline, also of one that was set after the "
    "wait began, and also if nobody else acts."
)
LATE_LOSES: Final = (
    "A settle that begins after the deadline, and after `create` has returned, loses."
)
INFO: Final = "Return all that is known about the promise, without waiting for anybody."
LISTED: Final = "Return promises that were created or settled, a page of them."
ORDER: Final = (
    "They come in the order in which their generations were first heard of, which "
    "stays: what was there the whole time is neither missed nor returned twice, "
    "whatever else happens meanwhile."
)
LISTING: Final = (
    "How many to return at most; there may be fewer, or none, although more follow."
)

# Of `dp_core.backend.Watchable`.

WATCHED: Final = (
    "Entering returns when all are watched: from then on, no outcome and no disposal "
    "is missed."
)
WATCH_TELLS: Final = (
    "The iterator tells those first that are settled by then, in the order of *ids*, "
    "and the others as they are settled or disposed of; it ends when all are told. An "
    "id that comes twice is told once."
)
WATCH_LASTS: Final = "What may pass ends no watch, as it ends no wait."
WATCH_LEAVES: Final = "Nothing of it is left after the block, however that ends."
WATCH_CLOSED: Final = "BackendClosedError: The handle was closed."

CONTRACT: Final = (
    FIRST_WINS,
    SURVIVES,
    STAYS,
    NO_LOST_WAKE_UP,
    CANCEL,
    BYTES,
    IDS,
    RECOVERY,
    CONCURRENT,
    CANCELLABLE,
    PEEK,
    SETTLE,
    PASSING,
    DISPOSE,
    DISPOSED_WAIT,
    DISPOSE_DURABLE,
    CLOSE,
    TWICE,
    CLOSED_WAIT,
    CLOSED,
    FIRST_TERMS,
    FORGETS_TERMS,
    OVER,
    TOLD,
    LATE_LOSES,
    INFO,
    LISTED,
    ORDER,
    LISTING,
    WATCHED,
    WATCH_TELLS,
    WATCH_LASTS,
    WATCH_LEAVES,
    WATCH_CLOSED,
)
"""All sentences, in the order of the contract."""
