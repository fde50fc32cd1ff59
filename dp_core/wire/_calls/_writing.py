"""`write_call`: the request that makes a call, as a client writes it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, assert_never

from dp_core._states import Outcome, Rejected, Resolved
from dp_core.values import encode
from dp_core.wire._calls._bodies import BARE_MEMBER
from dp_core.wire._calls._calls import (
    Call,
    Create,
    Dispose,
    Info,
    Peek,
    Settle,
    Wait,
)
from dp_core.wire._queries import List, write_query
from dp_core.wire._terms import write_asked
from dp_core.wire._watch import WATCH_PATH, WatchCall, write_watch

__all__ = ["write_call", "write_settle"]


def write_call(call: Call, *, in_path: bool = False) -> tuple[str, bytes]:
    """
    Return the path and the body of the request that makes *call*.

    It is a POST, and for a `List` a GET.

    Args:
        call: What to ask.
        in_path: Whether to name the promise in the path of a `Settle`, if its
            id can stand there as it is. That is one invocation on Restate,
            where the other form is an invocation that makes another one.
    """
    if isinstance(call, List):
        return f"/promises?{write_query(call)}", b""
    if isinstance(call, WatchCall):
        return WATCH_PATH, write_watch(call)
    members = b""
    match call:
        case Settle(id, outcome):
            operation, argument = write_settle(outcome)
            if in_path and outcome.by is None and _PLAIN.fullmatch(id):
                return f"/promises/{id}/{operation}", argument
            members = b',"%b":%b' % (BARE_MEMBER[operation].encode(), argument)
            if outcome.by is not None:
                members += b',"by":%b' % encode(outcome.by)
        case Create(_, terms):
            operation, asked = "create", write_asked(terms)[1:-1]
            members = b",%b" % asked if asked else b""
        case _:
            operation = _NAMES[type(call)]
    body = b'{"promiseId":%b%b}' % (encode(call.id), members)
    return f"/promise/{operation}", body


_NAMES: Final[Mapping[type[Call], str]] = {
    Peek: "peek",
    Wait: "await",
    Dispose: "dispose",
    Info: "info",
}

# No proxy decodes, normalizes or truncates such a path segment.
_PLAIN: Final = re.compile(r"[A-Za-z0-9_~-][A-Za-z0-9._~-]{0,199}")


def write_settle(outcome: Outcome[bytes]) -> tuple[str, bytes]:
    """Return the operation that settles with *outcome*, and its JSON argument."""
    match outcome:
        case Resolved(text):
            return "resolve", text
        case Rejected(error):
            return "reject", encode(error, len(error) * 6 + 2)
    assert_never(outcome)
