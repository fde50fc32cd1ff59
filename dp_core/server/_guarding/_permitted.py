"""
`permitted`: the table of rights, one row a call.

It is asked for every call in every form of the wire, of a batch as well. What is not in
it is not allowed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, TypeVar

from dp_core._access import EVERYTHING, Access
from dp_core._errors import ProtocolError
from dp_core.wire import (
    Create,
    Dispose,
    Info,
    List,
    Peek,
    Settle,
    Wait,
    WatchCall,
)

__all__ = ["permitted"]

C = TypeVar("C")

# `settle` and `create` are told the outcome or the terms, so they include reading that
# promise.
_READING: Final = ("read", "settle", "create")

_OF_ONE: Final[Mapping[type, tuple[str, ...]]] = {
    Peek: _READING,
    Wait: _READING,
    Info: _READING,
    Settle: ("settle",),
    Create: ("create",),
    Dispose: ("dispose",),
}
"""The rights to a call on one promise, any of which will do."""

_OF_SEVERAL: Final[Mapping[type, frozenset[str]]] = {
    List: frozenset({"list", "read"}),
    WatchCall: frozenset({"list", "read"}),
}
"""The rights to a call on several promises, all of which it takes."""


def permitted(access: Access | None, call: C) -> C:
    """
    Return a call as whoever has this access may make it.

    Who settles is said by the access, where that names somebody; a list has the
    promises that the access is for. Without any access nothing is allowed.

    Raises:
        ProtocolError: It is not allowed (403). One text says so, whatever the call, and
            nothing is said about the promise.
    """
    if access is EVERYTHING:
        return call
    if access is None:
        raise _refused()
    kind = type(call)
    asked: Any = call
    if kind in _OF_ONE:
        allowed = access.may(asked.id, _OF_ONE[kind])
    else:
        allowed = kind in _OF_SEVERAL and _OF_SEVERAL[kind] <= access.rights
    if allowed and isinstance(call, WatchCall):
        allowed = all(map(access.is_for, call.ids))
    if not allowed:
        raise _refused()
    if isinstance(call, Settle) and access.name is not None:
        asked = replace(call, outcome=replace(call.outcome, by=access.name))
    if isinstance(call, List):
        asked = replace(call, query=replace(call.query, ids=access.patterns()))
    allowed_call: C = asked
    return allowed_call


def _refused() -> ProtocolError:
    return ProtocolError(403, "this token does not allow that")
