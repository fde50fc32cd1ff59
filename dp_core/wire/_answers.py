"""Answers: states and errors, written by the server and read by a client."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final, NoReturn, TypeAlias, Union, assert_never, overload

from dp_core._errors import (
    AccessDeniedError,
    BackendClosedError,
    BackendError,
    BackendUnavailableError,
    CodecError,
    CorruptPromiseError,
    DurablePromiseError,
    InvalidPromiseIdError,
    InvalidQueryError,
    InvalidTermsError,
    InvalidValueError,
    NotSupportedError,
    OutcomeUnknownError,
    PromiseDisposedError,
    ProtocolError,
)
from dp_core._states import Outcome, Pending, Rejected, Resolved, State
from dp_core._terms import Page, PromiseInfo, Terms
from dp_core._text import quoted
from dp_core._tokens import TOKEN_ADVICE
from dp_core.values import (
    check_message,
    check_parsed,
    check_text,
    decode,
    encode,
    split_object,
)
from dp_core.wire._calls import CHANGES, Call, Create, Dispose, Info, Peek, Settle, Wait
from dp_core.wire._queries import List, read_page
from dp_core.wire._terms import read_info, write_outcome
from dp_core.wire._watch import WatchCall

__all__ = [
    "DISPOSED_MESSAGE",
    "TRANSIENT",
    "TURNED_AWAY",
    "is_failure",
    "lacks_endpoint",
    "read_answer",
    "write_answer",
    "write_error",
]

TRANSIENT: Final = (BackendUnavailableError, OutcomeUnknownError)
"""Errors that `read_answer` raises where the same call may succeed later."""

DISPOSED_MESSAGE: Final = "promise was disposed"
"""The one message by which the reference says that a wait saw a disposal."""


# Answers, as the server writes them -----------------------------------------


Answer: TypeAlias = Union[State[bytes], Terms[bytes], PromiseInfo[bytes], Page, None]
"""The content of an answer to a call; None to a `Dispose`."""


def write_answer(state: Pending | Outcome[bytes] | None) -> bytes:
    """Return the body that says *state*; None is the answer to `Dispose`."""
    match state:
        case Resolved() | Rejected():
            return write_outcome(state)
        case Pending():
            return b"null"
        case None:
            return b""
    assert_never(state)


_STATUS: Final[Mapping[type[DurablePromiseError], int]] = {
    InvalidPromiseIdError: 400,
    CodecError: 422,
    InvalidTermsError: 422,
    InvalidQueryError: 400,
    PromiseDisposedError: 410,
    AccessDeniedError: 403,
    BackendUnavailableError: 503,
    NotSupportedError: 501,
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


# Answers, as a client reads them --------------------------------------------


@overload
def read_answer(call: Create, status: int, body: bytes) -> Terms[bytes]: ...
@overload
def read_answer(call: Info, status: int, body: bytes) -> PromiseInfo[bytes]: ...
@overload
def read_answer(call: List, status: int, body: bytes) -> Page: ...
@overload
def read_answer(call: Settle, status: int, body: bytes) -> Outcome[bytes]: ...
@overload
def read_answer(call: Peek | Wait, status: int, body: bytes) -> State[bytes]: ...
@overload
def read_answer(call: Dispose, status: int, body: bytes) -> None: ...
@overload
def read_answer(call: WatchCall, status: int, body: bytes) -> NoReturn: ...
@overload
def read_answer(call: Call, status: int, body: bytes) -> Answer: ...
def read_answer(call: Call, status: int, body: bytes) -> Answer:
    """
    Parse the server's answer to *call*.

    Returns:
        The state; for a `Wait` that ended without an outcome (202), `Pending`;
        for a `Settle` always an outcome; for a `Dispose` nothing; for a `Create`
        the terms that stand, for an `Info` what is known, for a `List` a page. To a
        `WatchCall` only failures are answers that are read as a whole.

    Raises:
        ProtocolError: It is not an answer of the wire to that call.
        DurablePromiseError: The answer says so; one of `TRANSIENT` where the
            same call may succeed later.
    """
    if not 200 <= status < 300:
        raise _read_error(call, status, body)
    if status not in _SUCCESSES[type(call)]:
        raise ProtocolError(status, "the server's answer has another status")
    if isinstance(call, Dispose):
        if body:
            raise ProtocolError(status, "the server's answer to a dispose has a body")
        return None
    if isinstance(call, WatchCall):
        raise ProtocolError(status, "the server's answer is not an event stream")
    if isinstance(call, Create | Info | List):
        return _read_registry(call, status, body)
    state = _read_state(status, body)
    if isinstance(call, Settle) and isinstance(state, Pending):
        raise ProtocolError(status, "the server's answer to a settle is not an outcome")
    if status == _NOT_YET and not isinstance(state, Pending):
        raise ProtocolError(status, "the server's answer is an outcome, and is not")
    return state


_NOT_YET: Final = 202
"""The status of a wait that ended without an outcome."""

_CREATED: Final = 201
"""The status of a create that was the first."""

_SUCCESSES: Final[Mapping[type[Call], tuple[int, ...]]] = {
    Peek: (200,),
    Wait: (200, _NOT_YET),
    Settle: (200,),
    Dispose: (200, 204),
    Create: (200, _CREATED),
    Info: (200,),
    List: (200,),
    WatchCall: (200,),
}


def _read_registry(
    call: Create | Info | List, status: int, body: bytes
) -> Terms[bytes] | PromiseInfo[bytes] | Page:
    try:
        if isinstance(call, List):
            return _found_by(call, read_page(body))
        # What the server could keep must come through, whatever our own limits are.
        info = read_info(body, len(body))
    except (ProtocolError, CodecError, InvalidTermsError) as error:
        raise ProtocolError(status, f"the server's answer is {error}") from None
    if info.id != call.id:
        raise ProtocolError(status, "the server's answer is about another promise")
    if isinstance(call, Info):
        return info
    if info.terms is None:
        raise ProtocolError(status, "the server's answer to a create has no terms")
    return replace(info.terms, is_first=status == _CREATED)


def _found_by(call: List, page: Page) -> Page:
    """
    Return a page, if all that is on it was asked for.

    Else who prunes would dispose of what a server that knows no tags has listed.
    """
    query = replace(call.query, ids=None)  # No query string has them.
    for info in page.infos:
        if not query.matches(info):
            raise ProtocolError(
                400, f"a page on which {quoted(info.id)} is, which was not asked for"
            )
    return page


def _read_state(status: int, body: bytes) -> State[bytes]:
    if body.strip(_WHITE_SPACE) == b"null":
        return Pending()
    if (value := _only_value(body)) is not None:
        return Resolved(value)
    try:
        members = split_object(body)
        # What the server could keep must come through, whatever our own limit for
        # settling is, so a message is checked against its own length.
        match [*members.items()]:
            case [("error", text)]:
                return Rejected(check_message(decode(text), len(text)))
            case [("value", text)]:
                return Resolved(check_parsed(text))
            case []:
                # The reference leaves a value out that was not given.
                return Resolved(b"null")
    except CodecError as error:
        raise ProtocolError(status, f"the server's answer is {error}") from None
    raise ProtocolError(
        status,
        "the server's answer is an object with other members than value or error",
    )


def _only_value(body: bytes) -> bytes | None:
    """
    Return the value of an answer in the form in which our server writes it.

    None is for all others; to take them apart takes twice as long.
    """
    if body.startswith(_VALUE) and body.endswith(b"}"):
        text = body[len(_VALUE) : -1]
        with suppress(CodecError):
            if check_text(text, len(text)) == text:
                return text
    return None


_VALUE: Final = b'{"value":'

_WHITE_SPACE: Final = b" \t\n\r"
"""White space of JSON (RFC 8259 §2)."""


def is_failure(call: Call, status: int, body: bytes) -> bool:
    """
    Tell whether a body is a failure in the wire's form.

    That is an object with the status as ``"code"`` and a string as
    ``"message"``. A gateway on the way fails in a form of its own. A server that does
    not have the operation may leave out the code: it has another one's wire.
    """
    failure = _failure(body)
    if failure is None:
        return False
    if "code" not in failure:
        return lacks_operation(call, status, failure["message"])
    return type(failure["code"]) is int and failure["code"] == status


def lacks_endpoint(status: int, body: bytes) -> bool:
    """
    Tell whether a body says that a server does not have an endpoint of ours.

    Only a failure in the wire's form does, see `is_failure`; anything else is an
    outage. The reference has neither terms and lists nor batches.
    """
    failure = _failure(body)
    if failure is None or failure.get("code", status) != status:
        return False
    return _says_lacking(status, failure["message"])


def _failure(body: bytes) -> dict[str, Any] | None:
    """Return an object with a string as its ``"message"``; None if it is not one."""
    try:
        failure = decode(body)
    except CodecError:
        return None
    if isinstance(failure, dict) and isinstance(failure.get("message"), str):
        return failure
    return None


def lacks_operation(call: Call, status: int, message: str) -> bool:
    """Tell whether a failure says that a server does not have an operation of ours."""
    ours = isinstance(call, Create | Info | List | WatchCall)
    return ours and _says_lacking(status, message)


def _says_lacking(status: int, message: str) -> bool:
    return (status in _LACKING and not _NO_SERVICE.match(message)) or (
        status == 400 and message.startswith(_BAD_PATH)
    )


_NO_SERVICE: Final = re.compile(r"service '[^']*' not found")
"""The beginning of what Restate says while it starts: it lacks every operation."""


TURNED_AWAY: Final = (408, 425, 429, 503)
"""
Statuses that say the request was turned away before anything was done.

RFC 9110 §15.5.9 and §15.6.4, RFC 8470, RFC 6585. Any other failure of a server, or
of a proxy before it, may come after the fact.
"""


def _read_error(call: Call, status: int, body: bytes) -> DurablePromiseError:
    message, kind = _read_failure(status, body)
    if isinstance(call, Wait) and (
        kind is PromiseDisposedError or message == DISPOSED_MESSAGE
    ):
        return PromiseDisposedError(call.id)
    if kind is not None and issubclass(kind, _REASONED):
        return kind(message)
    return _error_of_status(call, status, message)


def _error_of_status(call: Call, status: int, message: str) -> DurablePromiseError:
    if lacks_operation(call, status, message):
        return NotSupportedError(
            "this server keeps outcomes only: no terms, no list of its promises, no "
            f"event streams ({message})"
        )
    if status == 422 and isinstance(call, Create):
        return InvalidTermsError(f"the server refuses them: {message}")
    if status in (401, 403):
        advice = TOKEN_ADVICE if status == 401 else "it may allow it to another token"
        return AccessDeniedError(f"the server refuses access ({message}); {advice}")
    if status in (413, 422):
        return InvalidValueError("$", f"the server refuses it: {message}")
    if status in TURNED_AWAY or status >= 500:
        changes = status not in TURNED_AWAY and isinstance(call, CHANGES)
        failure = OutcomeUnknownError if changes else BackendUnavailableError
        return failure(f"the server failed: {message} (HTTP {status})")
    return ProtocolError(status, message)


# Errors that a server may name; the others concern the caller's own process.
_KINDS: Final[Mapping[str, type[DurablePromiseError]]] = {
    kind.__name__: kind
    for kind in (
        AccessDeniedError,
        BackendClosedError,
        BackendError,
        BackendUnavailableError,
        CorruptPromiseError,
        InvalidQueryError,
        InvalidTermsError,
        NotSupportedError,
        OutcomeUnknownError,
        PromiseDisposedError,
    )
}
_REASONED: Final = (BackendError, InvalidQueryError, InvalidTermsError)
"""Those of them that are made of their reason alone."""

_LACKING: Final = (404, 405, 501)
"""The statuses by which a server says that it does not have an operation."""

_BAD_PATH: Final = "bad path"
"""The beginning of what Restate says of a path that names no service."""


def _read_failure(
    status: int, body: bytes
) -> tuple[str, type[DurablePromiseError] | None]:
    """Return the message of a failure, and the one of our errors that it names."""
    try:
        failure = decode(body)
        message, name = failure["message"], failure.get("type")
    except (CodecError, AttributeError, KeyError, TypeError):
        message = name = None
    if not isinstance(message, str):
        message = quoted(body[:200].decode(errors="replace"))
    return message, _KINDS.get(name) if isinstance(name, str) else None
