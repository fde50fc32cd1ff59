"""Calls about one promise, read from and written to requests; `Call`, all of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias, Union, assert_never, final
from urllib.parse import unquote_to_bytes

from dp_core._errors import (
    CodecError,
    InvalidPromiseIdError,
    InvalidValueError,
    ProtocolError,
)
from dp_core._ids import check_id
from dp_core._states import Outcome, Rejected, Resolved
from dp_core._terms import Terms, check_name
from dp_core._text import quoted
from dp_core.values import (
    MAX_VALUE_BYTES,
    check_message,
    check_text,
    decode,
    encode,
    split_object,
)
from dp_core.wire._queries import List, read_query, write_query
from dp_core.wire._terms import ASKED, asked_terms, write_asked
from dp_core.wire._watch import WATCH_PATH, WatchCall, write_watch

__all__ = [
    "CHANGES",
    "ENVELOPE_BYTES",
    "Call",
    "Create",
    "Dispose",
    "Info",
    "Peek",
    "PromiseCall",
    "Settle",
    "Wait",
    "no_operation",
    "read_call",
    "read_get",
    "read_members",
    "read_settle",
    "split_body",
    "write_call",
    "write_settle",
]

ENVELOPE_BYTES: Final = 64 * 1024
"""Bytes that a call's body may have beyond its value: the id and the keys."""


@final
@dataclass(frozen=True, slots=True)
class Peek:
    """Ask for the state of a promise."""

    id: str


@final
@dataclass(frozen=True, slots=True)
class Wait:
    """Ask for the outcome of a promise, as soon as there is one."""

    id: str


@final
@dataclass(frozen=True, slots=True)
class Settle:
    """Settle a promise, unless it is settled already."""

    id: str
    outcome: Outcome[bytes]


@final
@dataclass(frozen=True, slots=True)
class Dispose:
    """Dispose of a promise."""

    id: str


@final
@dataclass(frozen=True, slots=True)
class Create:
    """Give a promise its terms, unless it has some already."""

    id: str
    terms: Terms[bytes]


@final
@dataclass(frozen=True, slots=True)
class Info:
    """Ask for all that is known about a promise."""

    id: str


CHANGES: Final = (Settle, Dispose, Create)
"""Calls that may have taken effect although no answer came."""

PromiseCall: TypeAlias = Union[Peek, Wait, Settle, Dispose, Create, Info]
"""Calls about one promise, which have its ``id``."""

Call: TypeAlias = Union[PromiseCall, List, WatchCall]


# Calls, as the server reads them --------------------------------------------

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
_READERS: Final[Mapping[str, Callable[[str, _Members, int], PromiseCall]]] = {
    "peek": lambda id, members, limit: Peek(id),
    "await": lambda id, members, limit: Wait(id),
    "dispose": lambda id, members, limit: Dispose(id),
    **_SETTLES,
}
# Not of the reference, and in one form alone.
_OURS: Final[Mapping[str, Callable[[str, _Members, int], PromiseCall]]] = {
    "create": _create,
    "info": lambda id, members, limit: Info(id),
}

_FORMS: Final = (
    "OPERATION is one of peek, await, resolve, reject, dispose, in three forms "
    "(create and info in the first alone): "
    'POST /promise/OPERATION with the body {"promiseId": ID, "value": JSON or '
    '"errorMessage": TEXT}; POST /promises/ID/OPERATION with the bare value or message '
    "as its body, nothing around it; POST /durablePromiseServer/OPERATION with "
    '{"request": {"promiseName": ID, "value" or "errorMessage"}}'
)
"""All forms of a request, for whoever got it wrong."""

# The member beside the id, which is the whole body where the path names the promise.
_BARE_MEMBER: Final = {"resolve": "value", "reject": "errorMessage"}
_ARGUMENT: Final[Mapping[str, tuple[str, ...]]] = {
    **{operation: (name, "by") for operation, name in _BARE_MEMBER.items()},
    "create": ASKED,
}


def read_call(path: str, body: bytes, limit: int = MAX_VALUE_BYTES) -> PromiseCall:
    """
    Return the call that a request makes.

    Args:
        path: The path of the request, still percent-encoded, without query.
        body: Its body.
        limit: The largest value to accept, in bytes of JSON text.

    Raises:
        ProtocolError: No such operation (404), or no such body (400).
        InvalidPromiseIdError: The id cannot name a promise.
        InvalidValueError: The value or message cannot be kept.
    """
    match path.split("/"):
        case ["", "promise", operation] if operation in _READERS:
            return _read_body(operation, body, "promiseId", limit)
        case ["", "promise", operation] if operation in _OURS:
            return _read_body(operation, body, "promiseId", limit)
        case ["", "durablePromiseServer", operation] if operation in _READERS:
            outer = split_body(body)
            _refuse_unknown(outer, ["request"])
            inner = _member(outer, "request")
            return _read_body(operation, inner, "promiseName", limit)
        case ["", "promises", id, operation] if operation in _READERS:
            members = _bare_members(operation, body)
            return _READERS[operation](_path_id(id), members, limit)
        case _:
            raise no_operation(path)


def no_operation(path: str) -> ProtocolError:
    """Return the error of a path at which there is no operation (404)."""
    return ProtocolError(404, f"no operation at {quoted(path)}; {_FORMS}")


def read_get(path: str, query: str) -> Info | List:
    """
    Return the call that a GET makes: of one promise, or of those a query finds.

    Args:
        path: The path of the request, still percent-encoded, without query.
        query: The query string.

    Raises:
        ProtocolError: It asks for nothing that is here (404), or wrongly (400).
        InvalidPromiseIdError: The id cannot name a promise.
        InvalidQueryError: No promise can be found by this.
    """
    match path.split("/"):
        case ["", "promises"]:
            return read_query(query)
        case ["", "promises", id] if not query:
            return Info(_path_id(id))
    raise ProtocolError(
        404,
        f"nothing to get at {quoted(path)}; GET /promises lists promises, GET "
        "/promises/ID, without a query, tells all about one, and GET "
        "/watch?promiseId=ID waits for some",
    )


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
    name = _BARE_MEMBER.get(operation)
    return {name: body} if name and body.strip() else {}


def _read_body(operation: str, body: bytes, id_key: str, limit: int) -> PromiseCall:
    return read_members(operation, split_body(body), limit, id_key)


def read_members(
    operation: str, members: _Members, limit: int, id_key: str = "promiseId"
) -> PromiseCall:
    """Return the call that members of an object say; see `read_call`."""
    _refuse_unknown(members, [id_key, *_ARGUMENT.get(operation, ())])
    text = _member(members, id_key)
    if not _is_string(text):
        raise ProtocolError(400, f"{id_key!r} is not a string")
    read = _READERS.get(operation) or _OURS[operation]
    return read(_body_id(id_key, text), members, limit)


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
            + _FORMS,
        )


_SHOWN: Final = 5


def _member(members: _Members, key: str) -> bytes:
    if key not in members:
        raise ProtocolError(400, f"{key!r} is missing")
    return members[key]


def _is_string(text: bytes) -> bool:
    # Asked before decoding: a number of a million digits would cost a second.
    return text.startswith(b'"')


def _path_id(raw: str) -> str:
    try:
        id = unquote_to_bytes(raw).decode()
    except UnicodeError:
        raise InvalidPromiseIdError(raw, "it is not UTF-8") from None
    check_id(id)
    return id


# Calls, as a client writes them ---------------------------------------------


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
            members = b',"%b":%b' % (_BARE_MEMBER[operation].encode(), argument)
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
