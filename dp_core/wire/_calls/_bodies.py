"""`read_members`, `read_wrapped`, `read_bare`: the call that a request's body says."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Final, TypeAlias

from dp_core._errors import CodecError, InvalidValueError, ProtocolError
from dp_core._ids import check_id
from dp_core._states import Rejected, Resolved
from dp_core._terms import check_name
from dp_core._text import quoted
from dp_core.values import (
    MAX_VALUE_BYTES,
    check_message,
    check_text,
    decode,
    split_object,
)
from dp_core.wire._calls._calls import (
    Create,
    Dispose,
    Info,
    Peek,
    PromiseCall,
    Settle,
    Wait,
)
from dp_core.wire._terms import ASKED, asked_terms

__all__ = [
    "BARE_MEMBER",
    "ENVELOPE_BYTES",
    "FORMS",
    "IN_ALL_FORMS",
    "OPERATIONS",
    "read_bare",
    "read_members",
    "read_settle",
    "read_wrapped",
    "split_body",
]

ENVELOPE_BYTES: Final = 64 * 1024
"""Bytes that a call's body may have beyond its value: the id and the keys."""

_Members: TypeAlias = Mapping[str, bytes]


def _resolve(id: str, members: _Members, limit: int) -> Settle:
    text = check_text(members.get("value", b"null"), limit)
    return Settle(id, Resolved(text, by=_by(members)))


def _reject(id: str, members: _Members, limit: int) -> Settle:
    text = _member(members, "errorMessage")
    if not _is_string(text):
        raise InvalidValueError("$.errorMessage", "an error message is a string")
    return Settle(id, Rejected(check_message(decode(text), limit), by=_by(members)))


def _by(members: _Members) -> str | None:
    """Return who settles, as they say; not in the reference."""
    text = members.get("by", b"null")
    if text == b"null":
        return None
    return check_name(decode(check_text(text, ENVELOPE_BYTES)), "'by'")


def _create(id: str, members: _Members, limit: int) -> Create:
    return Create(id, asked_terms(members, limit))


_SETTLES: Final[Mapping[str, Callable[[str, _Members, int], Settle]]] = {
    "resolve": _resolve,
    "reject": _reject,
}
IN_ALL_FORMS: Final[Mapping[str, Callable[[str, _Members, int], PromiseCall]]] = {
    "peek": lambda id, members, limit: Peek(id),
    "await": lambda id, members, limit: Wait(id),
    "dispose": lambda id, members, limit: Dispose(id),
    **_SETTLES,
}
"""The operations of the reference."""

OPERATIONS: Final[Mapping[str, Callable[[str, _Members, int], PromiseCall]]] = {
    **IN_ALL_FORMS,
    "create": _create,
    "info": lambda id, members, limit: Info(id),
}
"""All operations; those that are not of the reference have one form alone."""

FORMS: Final = (
    "OPERATION is one of peek, await, resolve, reject, dispose, in three forms "
    "(create and info in the first alone): "
    'POST /promise/OPERATION with the body {"promiseId": ID, "value": JSON or '
    '"errorMessage": TEXT}; POST /promises/ID/OPERATION with the bare value or message '
    "as its body, nothing around it; POST /durablePromiseServer/OPERATION with "
    '{"request": {"promiseName": ID, "value" or "errorMessage"}}'
)
"""All forms of a request, for whoever got it wrong."""

# The member beside the id, which is the whole body where the path names the promise.
BARE_MEMBER: Final = {"resolve": "value", "reject": "errorMessage"}
_ARGUMENT: Final[Mapping[str, tuple[str, ...]]] = {
    **{operation: (name, "by") for operation, name in BARE_MEMBER.items()},
    "create": ASKED,
}


def read_settle(
    operation: str, id: str, argument: bytes, limit: int = MAX_VALUE_BYTES
) -> Settle:
    """
    Return the call that settles one promise; the inverse of `write_settle`.

    Args:
        operation: ``resolve`` or ``reject``.
        id: The promise's id.
        argument: The bare value or error message as JSON text; nothing means
            null for ``resolve``.
        limit: The largest value to accept, in bytes of JSON text.

    Raises:
        ProtocolError: The error message is missing (400).
        InvalidPromiseIdError: The id cannot name a promise.
        InvalidValueError: The value or message cannot be kept.
    """
    check_id(id)
    return _SETTLES[operation](id, _bare_members(operation, argument), limit)


def _bare_members(operation: str, body: bytes) -> _Members:
    name = BARE_MEMBER.get(operation)
    return {name: body} if name and body.strip() else {}


def read_bare(operation: str, id: str, body: bytes, limit: int) -> PromiseCall:
    """Return the call about a promise of which the body is the value or message."""
    return OPERATIONS[operation](id, _bare_members(operation, body), limit)


def read_wrapped(operation: str, body: bytes, limit: int) -> PromiseCall:
    """Return the call that the member ``request`` of a body says."""
    outer = split_body(body)
    _refuse_unknown(outer, ["request"])
    members = split_body(_member(outer, "request"))
    return read_members(operation, members, limit, "promiseName")


def read_members(
    operation: str, members: _Members, limit: int, id_key: str = "promiseId"
) -> PromiseCall:
    """Return the call that members of an object say; see `read_call`."""
    _refuse_unknown(members, [id_key, *_ARGUMENT.get(operation, ())])
    text = _member(members, id_key)
    if not _is_string(text):
        raise ProtocolError(400, f"{id_key!r} is not a string")
    return OPERATIONS[operation](_body_id(id_key, text), members, limit)


def _body_id(key: str, text: bytes) -> str:
    try:
        id: str = decode(text)
    except CodecError as error:
        raise ProtocolError(400, f"{key!r} is {error}") from None
    check_id(id)
    return id


def split_body(body: bytes) -> dict[str, bytes]:
    """
    Return the members of a body, each as the text that it came with.

    Raises:
        ProtocolError: It is not a JSON object (400).
    """
    try:
        return split_object(body)
    except CodecError as error:
        raise ProtocolError(400, f"the body is {error}") from None


def _refuse_unknown(members: _Members, known: Collection[str]) -> None:
    # A misspelt "value" would resolve a write-once promise with null.
    unknown = [key for key in members if key not in known]
    if unknown:
        shown = ", ".join(quoted(key) for key in unknown[:_SHOWN])
        raise ProtocolError(
            400,
            f"unknown: {shown}; the members here are {', '.join(map(repr, known))}. "
            + FORMS,
        )


_SHOWN: Final = 5


def _member(members: _Members, key: str) -> bytes:
    if key not in members:
        raise ProtocolError(400, f"{key!r} is missing")
    return members[key]


def _is_string(text: bytes) -> bool:
    # Asked before decoding: a number of a million digits would cost a second.
    return text.startswith(b'"')
