"""
The wire of durable promises, without any I/O: both directions in one file.

The server reads calls and writes answers, a client writes calls and reads
answers, and neither knows a rule that is not here. The wire is that of
Restate's example "durable promises as a service", so that its clients work
with our server and ours with it.

========================================== ================================
``POST /promise/{operation}``              ``{"promiseId", "value" |
                                           "errorMessage"}``
``POST /promises/{id}/{operation}``        the value or message itself
``POST /durablePromiseServer/{operation}`` ``{"request": {"promiseName",
                                           "value" | "errorMessage"}}``
========================================== ================================

An answer is ``null`` (pending), ``{"value": …}``, ``{"error": …}``, or nothing
at all after ``dispose``; a failure is ``{"code", "message"}``, with the name of
our error as ``"type"``. A missing value means null.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias, Union, final
from urllib.parse import unquote_to_bytes

from dp_core import _errors
from dp_core._codec import (
    MAX_VALUE_BYTES,
    check_message,
    check_text,
    decode,
    encode,
    split_object,
)
from dp_core._errors import (
    AccessDeniedError,
    BackendError,
    BackendUnavailableError,
    CodecError,
    DurablePromiseError,
    InvalidPromiseIdError,
    InvalidValueError,
    OutcomeUnknownError,
    PromiseDisposedError,
    ProtocolError,
    quoted,
)
from dp_core._ids import check_id
from dp_core._states import Outcome, Pending, Rejected, Resolved, State

__all__ = [
    "ENVELOPE_BYTES",
    "TRANSIENT",
    "Await",
    "Call",
    "Discard",
    "Peek",
    "Settle",
    "prefer_wait",
    "read_answer",
    "read_call",
    "read_prefer",
    "write_answer",
    "write_call",
    "write_completion",
    "write_error",
]

ENVELOPE_BYTES: Final = 64 * 1024
"""What a call's body may have beyond its value: the id and the keys."""

TRANSIENT: Final = (BackendUnavailableError, OutcomeUnknownError)
"""What `read_answer` raises when the same call may well succeed later."""


@final
@dataclass(frozen=True, slots=True)
class Peek:
    """Ask for the state of a promise."""

    id: str


@final
@dataclass(frozen=True, slots=True)
class Await:
    """Ask for the outcome of a promise, once there is one."""

    id: str


@final
@dataclass(frozen=True, slots=True)
class Settle:
    """Complete a promise unless it is complete."""

    id: str
    outcome: Outcome[bytes]


@final
@dataclass(frozen=True, slots=True)
class Discard:
    """Dispose of a promise."""

    id: str


Call: TypeAlias = Union[Peek, Await, Settle, Discard]


# Calls, as the server reads them --------------------------------------------

_Members: TypeAlias = Mapping[str, bytes]


def _resolve(id: str, members: _Members, limit: int) -> Call:
    return Settle(id, Resolved(check_text(members.get("value", b"null"), limit)))


def _reject(id: str, members: _Members, limit: int) -> Call:
    text = _member(members, "errorMessage")
    if not _is_string(text):
        raise InvalidValueError("$.errorMessage", "an error message is a string")
    return Settle(id, Rejected(check_message(decode(text), limit)))


_Reader: TypeAlias = Callable[[str, _Members, int], Call]

_READERS: Final[Mapping[str, _Reader]] = {
    "peek": lambda id, members, limit: Peek(id),
    "await": lambda id, members, limit: Await(id),
    "resolve": _resolve,
    "reject": _reject,
    "dispose": lambda id, members, limit: Discard(id),
}

# In the form whose path has the id, the body is the one member there is.
_BODY_IS: Final = {"resolve": "value", "reject": "errorMessage"}


def read_call(path: str, body: bytes, limit: int = MAX_VALUE_BYTES) -> Call:
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
        case ["", "durablePromiseServer", operation] if operation in _READERS:
            inner = _member(_envelope(body), "request")
            return _read_body(operation, inner, "promiseName", limit)
        case ["", "promises", id, operation] if (
            operation in _READERS and operation != "await"
        ):
            name = _BODY_IS.get(operation)
            members = {name: body} if name and body.strip() else {}
            return _READERS[operation](_path_id(id), members, limit)
        case _:
            raise ProtocolError(
                404,
                f"no operation at {quoted(path)}; there are "
                "POST /promise/{peek,await,resolve,reject,dispose}",
            )


def _read_body(operation: str, body: bytes, id_key: str, limit: int) -> Call:
    members = _envelope(body)
    text = _member(members, id_key)
    if not _is_string(text):
        raise ProtocolError(400, f"{id_key!r} is no string")
    id = decode(text)
    check_id(id)
    return _READERS[operation](id, members, limit)


def _envelope(body: bytes) -> _Members:
    try:
        return split_object(body)
    except CodecError as error:
        raise ProtocolError(400, f"the body is {error}") from None


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


# Answers, as the server writes them -----------------------------------------


def write_answer(state: Pending | Outcome[bytes] | None) -> bytes:
    """Return the body that says *state*; None is what dispose answers."""
    match state:
        case Resolved(text):
            return b'{"value":%b}' % text
        case Rejected(error):
            return b'{"error":%b}' % encode(error, len(error) * 6 + 2)
        case Pending():
            return b"null"
        case None:
            return b""
        case _:
            raise TypeError(f"not a state: {state!r}")


_STATUS: Final[Mapping[type[DurablePromiseError], int]] = {
    InvalidPromiseIdError: 400,
    CodecError: 422,
    PromiseDisposedError: 410,
    AccessDeniedError: 403,
    BackendUnavailableError: 503,
    DurablePromiseError: 500,
}


def write_error(error: DurablePromiseError) -> tuple[int, bytes]:
    """Return the HTTP status and the body that say *error*."""
    if isinstance(error, ProtocolError):
        status, message = error.status, error.reason
    else:
        status = next(_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS)
        message = str(error)
    # A path or a peer's text may hold what UTF-8 cannot.
    message = message.encode(errors="backslashreplace").decode()
    body = {"code": status, "message": message, "type": type(error).__name__}
    return status, encode(body, len(message) * 6 + 1024)


# Calls, as a client writes them ---------------------------------------------


def write_call(call: Call, *, in_path: bool = False) -> tuple[str, bytes]:
    """
    Return the path and the body of the request that makes *call*.

    Args:
        call: What to ask.
        in_path: Whether a completion names the promise in its path, if its id
            can stand there as it is. That is one invocation on Restate, where
            the other form is one that makes another.
    """
    if in_path and isinstance(call, Settle) and _PLAIN.fullmatch(call.id):
        operation, body = write_completion(call.outcome)
        return f"/promises/{call.id}/{operation}", body
    id = b'{"promiseId":%b' % encode(call.id)
    match call:
        case Peek():
            return "/promise/peek", id + b"}"
        case Await():
            return "/promise/await", id + b"}"
        case Discard():
            return "/promise/dispose", id + b"}"
        case Settle(_, outcome):
            operation, body = write_completion(outcome)
            member = b"value" if operation == "resolve" else b"errorMessage"
            return f"/promise/{operation}", b'%b,"%b":%b}' % (id, member, body)


# Nobody on the way reads such an id as anything else, or cuts it off.
_PLAIN: Final = re.compile(r"[A-Za-z0-9_~-][A-Za-z0-9._~-]{0,199}")


def write_completion(outcome: Outcome[bytes]) -> tuple[str, bytes]:
    """Return the operation that completes with *outcome*, and its JSON argument."""
    match outcome:
        case Resolved(text):
            return "resolve", text
        case Rejected(error):
            return "reject", encode(error, len(error) * 6 + 2)
        case _:
            raise TypeError(f"not an outcome: {outcome!r}")


# Answers, as a client reads them --------------------------------------------


def read_answer(call: Call, status: int, body: bytes) -> State[bytes]:
    """
    Return the state that an answer to *call* tells.

    A wait that ended without an outcome (202), and dispose, tell `Pending`;
    a completion never does.

    Raises:
        DurablePromiseError: What the answer says; one of `TRANSIENT` where it
            pays to ask again.
    """
    if status not in (200, 202, 204):
        raise _read_error(call, status, body)
    if isinstance(call, Discard):
        return Pending()
    state = _read_state(body)
    if isinstance(call, Settle) and isinstance(state, Pending):
        raise ProtocolError(502, "the server's answer to a completion is no outcome")
    return state


def _read_state(body: bytes) -> State[bytes]:
    if body.strip() == b"null":
        return Pending()
    try:
        members = split_object(body)
        if "error" in members:
            return Rejected(check_message(decode(members["error"])))
        return Resolved(members.get("value", b"null"))
    except CodecError as error:
        raise ProtocolError(502, f"the server's answer is {error}") from None


# The one message by which the reference tells that a wait was disposed of.
_REFERENCE_DISPOSED: Final = "promise was disposed"

# Statuses that say the request was turned away before anything was done (RFC
# 9110 §15.5.9 and §15.6.4, RFC 8470, RFC 6585); any other failure of a server,
# or of a proxy before it, may come after the fact.
_TURNED_AWAY: Final = (408, 425, 429, 503)


def _read_error(call: Call, status: int, body: bytes) -> DurablePromiseError:
    message, kind = _read_failure(status, body)
    if isinstance(call, Await) and (
        kind is PromiseDisposedError or message == _REFERENCE_DISPOSED
    ):
        return PromiseDisposedError(call.id)
    if kind is not None and issubclass(kind, BackendError):
        return kind(message)
    if status in (401, 403):
        return AccessDeniedError(
            f"the server refuses access ({message}); set DP_TOKEN to its token"
        )
    if status in (413, 422):
        return InvalidValueError("$", f"the server refuses it: {message}")
    if status in _TURNED_AWAY or status >= 500:
        changes = status not in _TURNED_AWAY and isinstance(call, Settle | Discard)
        failure = OutcomeUnknownError if changes else BackendUnavailableError
        return failure(f"the server failed: {message} (HTTP {status})")
    return ProtocolError(status, message)


def _read_failure(
    status: int, body: bytes
) -> tuple[str, type[DurablePromiseError] | None]:
    """Return what a failure says, and which of our errors it names."""
    try:
        failure = decode(body)
        message, name = failure["message"], failure.get("type")
    except (CodecError, AttributeError, KeyError, TypeError):
        message = name = None
    if not isinstance(message, str):
        message = quoted(body[:200].decode(errors="replace"))
    kind = getattr(_errors, name, None) if isinstance(name, str) else None
    known = isinstance(kind, type) and issubclass(kind, DurablePromiseError)
    return message, kind if known else None


# How long to wait (RFC 7240 §4.3) -------------------------------------------

_PREFER: Final = re.compile(
    r"(?:^|[,;\s])wait\s*=\s*\"?([0-9]{1,9})\"?(?=$|[,;\s])", re.IGNORECASE
)


def read_prefer(header: str) -> int | None:
    """Return the seconds of ``Prefer: wait=SECONDS``, or None."""
    match = _PREFER.search(header)
    return int(match[1]) if match else None


def prefer_wait(seconds: int) -> str:
    """Return the value of a ``Prefer`` header that asks to wait *seconds*."""
    return f"wait={seconds}"
