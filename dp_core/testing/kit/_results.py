"""`CallResult`: how a call to a backend ended, and how reports print it."""

from __future__ import annotations

from enum import Enum
from typing import Any, Final, TypeAlias, Union, cast

from dp_core._safe_text import quoted
from dp_core._states import Outcome, Pending, Rejected, Resolved

__all__ = [
    "CANCELLED",
    "DISPOSED",
    "DONE",
    "PENDING",
    "RUNNING",
    "CallResult",
    "CallStatus",
    "check_result",
    "shown",
]


class CallStatus(Enum):
    """The end of a call, where that is not a state of a promise."""

    RUNNING = "still running"
    CANCELLED = "cancelled"
    DISPOSED = "PromiseDisposedError"
    DONE = "done"


RUNNING: Final = CallStatus.RUNNING
CANCELLED: Final = CallStatus.CANCELLED
DISPOSED: Final = CallStatus.DISPOSED
DONE: Final = CallStatus.DONE
PENDING: Final = Pending()

CallResult: TypeAlias = Union[Pending, Outcome[bytes], CallStatus, BaseException]
"""The state that a call returned, its status, or the error it raised."""


def shown(result: CallResult | None) -> str:
    """Return a result, or an outcome to settle with, on one short line."""
    match result:
        case Resolved(value):
            return f"Resolved({_short(value)})"
        case Rejected(error):
            return f"Rejected({_short(error)})"
        case CallStatus():
            return result.value
        case BaseException():
            return f"{type(result).__name__}: {quoted(str(result), 200)}"
        case _:
            return repr(result)


def _short(content: object) -> str:
    if isinstance(content, bytes | str) and len(content) > 80:
        return f"{content[:30]!r}… {len(content):,} long"
    return repr(content)


_STATES: Final[dict[str, tuple[type, ...]]] = {
    "peek": (Pending, Resolved, Rejected),
    "settle": (Resolved, Rejected),
    "wait": (Resolved, Rejected),
}
_CONTENT: Final[dict[type, tuple[str, type | None]]] = {
    Pending: ("", None),
    Resolved: ("value", bytes),
    Rejected: ("error", str),
}


def check_result(operation: str, returned: Any) -> CallResult:
    """
    Return *returned*, or a TypeError where the contract does not allow it.

    Args:
        operation: The name of the method that returned it.
        returned: What the method returned.
    """
    if operation not in _STATES:
        return DONE
    if not isinstance(returned, _STATES[operation]):
        names = " or ".join(kind.__name__ for kind in _STATES[operation])
        return TypeError(f"returned {_short(returned)}, which is not a {names}")
    content, kind = _CONTENT[type(returned)]
    if kind and type(getattr(returned, content)) is not kind:
        return TypeError(f"{returned!r}: its {content} is not {kind.__name__}")
    return cast("CallResult", returned)
