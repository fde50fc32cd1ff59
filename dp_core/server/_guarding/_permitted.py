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
from dp_core._ids import DELIVERY_IDS, is_delivery
from dp_core._terms import is_reserved
from dp_core.wire import (
    Create,
    Dispose,
    Info,
    List,
    Peek,
    PromiseCall,
    Settle,
    Wait,
    WatchCall,
)

__all__ = ["allows", "permitted"]

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

# It has the URL that is called, which only creators are shown. What becomes of it is
# for the server.
_OF_DELIVERY: Final[Mapping[type, tuple[str, ...]]] = dict.fromkeys(
    (Peek, Wait, Info), ("create",)
)
"""The rights to a call on a delivery of a callback."""

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

    A delivery of a callback is settled by its server alone. It has the URL, so only who
    may create promises of any id is told of it.

    Raises:
        ProtocolError: It is not allowed (403). Nothing is said about the promise.
    """
    if access is None:
        raise _refused()
    asked: Any = call
    if type(call) in _OF_ONE:
        asked = _of_one(access, asked)
    elif access is EVERYTHING and type(call) in _OF_SEVERAL:
        pass
    elif type(call) not in _OF_SEVERAL or not _OF_SEVERAL[type(call)] <= access.rights:
        raise _refused()
    elif isinstance(call, WatchCall):
        if not all(_may_watch(access, id) for id in call.ids):
            raise _refused()
    elif isinstance(call, List):
        asked = _of_list(access, call)
    allowed_call: C = asked
    return allowed_call


def allows(access: Access, kind: type[PromiseCall], id: str) -> bool:
    """Tell whether an access allows a kind of call on a promise."""
    rights = _OF_DELIVERY if is_delivery(id) else _OF_ONE
    return kind in rights and access.may(id, rights[kind])


def _of_one(access: Access, call: PromiseCall) -> PromiseCall:
    """Return a call on one promise as it is allowed."""
    if not allows(access, type(call), call.id):
        raise _refused_for(call)
    if isinstance(call, Settle) and access.name is not None:
        return replace(call, outcome=replace(call.outcome, by=access.name))
    return call


def _may_watch(access: Access, id: str) -> bool:
    if is_delivery(id):
        return access.may(id, _OF_DELIVERY[Wait])
    return access.is_for(id)


def _of_list(access: Access, call: List) -> List:
    """Return a list of those promises that the access is for."""
    # Deliveries are listed where such tags ask for them, and for nobody's patterns.
    if any(map(is_reserved, call.query.tags)) and not access.may(
        DELIVERY_IDS, _OF_DELIVERY[Info]
    ):
        raise _refused()
    return replace(call, query=replace(call.query, ids=access.patterns()))


def _refused_for(call: PromiseCall) -> ProtocolError:
    if type(call) in _OF_DELIVERY or not is_delivery(call.id):
        return _refused()
    return ProtocolError(
        403,
        f"an id that begins with {DELIVERY_IDS!r} is a callback's, which its server "
        "settles; dispose of its promise to end it",
    )


def _refused() -> ProtocolError:
    return ProtocolError(403, "this token does not allow that")
