"""`CallResult`: how a call to a backend ended, and how reports print it."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Any, Final, TypeAlias, Union, cast

from dp_core._states import Outcome, Pending, Rejected, Resolved
from dp_core._terms import Page, PromiseInfo, Query, Terms
from dp_core._text import quoted

__all__ = [
    "CANCELLED",
    "DISPOSED",
    "DONE",
    "PENDING",
    "RUNNING",
    "CallResult",
    "CallStatus",
    "Given",
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

CallResult: TypeAlias = Union[
    Pending,
    Outcome[bytes],
    Terms[bytes],
    PromiseInfo[bytes],
    Page,
    CallStatus,
    BaseException,
]
"""The value that a call returned, its status, or the error it raised."""

Given: TypeAlias = Union[Outcome[bytes], Terms[bytes], Query]
"""The argument of a call besides an id."""


def shown(result: CallResult | Given | None) -> str:
    """Return a result, or what a call is given, on one short line."""
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
            return _shown_of_registry(result)


def _shown_of_registry(result: object) -> str:
    match result:
        case Terms():
            return f"Terms({', '.join(_parts_of(result))})"
        case PromiseInfo(id=id, state=state, terms=terms):
            return f"PromiseInfo({_short(id)}, {shown(state)}, {shown(terms)})"
        case Page(infos=infos, after=after):
            ids = ", ".join(_short(info.id) for info in infos[:8])
            more = f", … {len(infos)} promises" if len(infos) > 8 else ""
            return f"Page([{ids}{more}], after={_short(after)})"
        case _:
            return repr(result)


def _parts_of(terms: Terms[bytes]) -> Iterator[str]:
    if terms.deadline is not None:
        yield f"{terms.deadline.isoformat(timespec='milliseconds')}"
        yield shown(terms.otherwise)
    if terms.tags:
        yield f"tags={_short(repr(terms.tags))}"
    if terms.data is not None:
        yield f"data={_short(terms.data)}"


def _short(content: object) -> str:
    if isinstance(content, bytes | str) and len(content) > 80:
        return f"{content[:30]!r}… {len(content):,} long"
    return repr(content)


_STATES: Final[dict[str, tuple[type, ...]]] = {
    "peek": (Pending, Resolved, Rejected),
    "settle": (Resolved, Rejected),
    "wait": (Resolved, Rejected),
    "create": (Terms,),
    "info": (PromiseInfo,),
    "list": (Page,),
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
    for outcome in _outcomes_in(returned):
        content, kind = _CONTENT[type(outcome)]
        if kind and type(getattr(outcome, content)) is not kind:
            return TypeError(f"{outcome!r}: its {content} is not {kind.__name__}")
    return cast("CallResult", returned)


def _outcomes_in(returned: Any) -> Iterator[Any]:
    match returned:
        case Page():
            for info in returned.infos:
                yield from _outcomes_in(info)
        case PromiseInfo():
            yield returned.state
            yield from _outcomes_in(returned.terms)
        case Terms():
            yield from _outcomes_in(returned.otherwise)
            if returned.data is not None:
                yield Resolved(returned.data)
        case None:
            return
        case _:
            yield returned
