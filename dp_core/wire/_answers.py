"""Answers: states and terms, written by the server and read by a client."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Final, NoReturn, TypeAlias, Union, assert_never, overload

from dp_core._errors import CodecError, InvalidTermsError, ProtocolError
from dp_core._states import Outcome, Pending, Rejected, Resolved, State
from dp_core._terms import Page, PromiseInfo, Terms
from dp_core._text import quoted
from dp_core.values import (
    check_message,
    check_parsed,
    check_text,
    decode,
    split_object,
)
from dp_core.wire._calls import Call, Create, Dispose, Info, Peek, Settle, Wait
from dp_core.wire._failures import read_failure
from dp_core.wire._queries import List, read_page
from dp_core.wire._terms import read_info, write_outcome
from dp_core.wire._watch import WatchCall

__all__ = ["Answer", "read_answer", "write_answer"]

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
        raise read_failure(call, status, body)
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
        # Its own status, where it has one, is that of a request.
        words = error.reason if isinstance(error, ProtocolError) else str(error)
        raise ProtocolError(status, f"the server's answer is {words}") from None
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
