"""Failures: errors, written by the server and read by a client."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

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
from dp_core._text import quoted
from dp_core._tokens import TOKEN_ADVICE
from dp_core.values import decode, encode
from dp_core.wire._calls import CHANGES, Call, Create, Info, Wait
from dp_core.wire._queries import List
from dp_core.wire._watch import WatchCall

__all__ = [
    "DISPOSED_MESSAGE",
    "TRANSIENT",
    "TURNED_AWAY",
    "is_failure",
    "lacks_endpoint",
    "read_failure",
    "write_error",
]

TRANSIENT: Final = (BackendUnavailableError, OutcomeUnknownError)
"""Errors that `read_answer` raises where the same call may succeed later."""

DISPOSED_MESSAGE: Final = "promise was disposed"
"""The one message by which the reference says that a wait saw a disposal."""


# Failures, as the server writes them ----------------------------------------

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


# Failures, as a client reads them -------------------------------------------


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
    return type(call) in _LACKED and _says_lacking(status, message)


def _says_lacking(status: int, message: str) -> bool:
    return (status in _LACKING and not _NO_SERVICE.match(message)) or (
        status == 400 and message.startswith(_BAD_PATH)
    )


_LACKED: Final[Mapping[type[Call], str]] = {
    Create: "terms of promises, only outcomes",
    Info: "terms of promises, only outcomes",
    List: "list of its promises",
    WatchCall: "event streams",
}
"""Features that a server lacks, by the call that it does not know."""

_NO_SERVICE: Final = re.compile(r"service '[^']*' not found")
"""The beginning of what Restate says while it starts: it lacks every operation."""


TURNED_AWAY: Final = (408, 425, 429, 503)
"""
Statuses that say the request was turned away before anything was done.

RFC 9110 §15.5.9 and §15.6.4, RFC 8470, RFC 6585. Any other failure of a server, or
of a proxy before it, may come after the fact.
"""


def read_failure(call: Call, status: int, body: bytes) -> DurablePromiseError:
    """Return the error that a body says, or its status."""
    message, kind = _message_and_kind(status, body)
    if isinstance(call, Wait) and (
        kind is PromiseDisposedError or message == DISPOSED_MESSAGE
    ):
        return PromiseDisposedError(call.id)
    if kind is not None and issubclass(kind, _REASONED):
        return kind(message)
    return _error_of_status(call, status, message)


def _error_of_status(call: Call, status: int, message: str) -> DurablePromiseError:
    if lacks_operation(call, status, message):
        lacked = _LACKED[type(call)]
        return NotSupportedError(f"this server has no {lacked} ({message})")
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


def _message_and_kind(
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
