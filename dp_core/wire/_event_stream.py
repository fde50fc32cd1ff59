"""
Event streams: outcomes as text, told one by one, and read however it is cut.

The text is that of server-sent events (WHATWG HTML §9.2.5, ``text/event-stream``),
of which the wire uses comments and the field ``data``:

========================================== ================================
``: …``                                    a comment; the first one says that
                                           all promises are watched
``data: {"promiseId", "value" | "error"}`` an outcome
``data: {"promiseId", "disposed": true}``  the promise was disposed of
``data: {"promiseId", "ask": true}``       there is an outcome, too long for a
                                           stream: ask for it alone
========================================== ================================
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias, Union, final

from dp_core._errors import (
    CodecError,
    InvalidPromiseIdError,
    PromiseDisposedError,
    ProtocolError,
)
from dp_core._ids import MAX_ID_BYTES, check_id
from dp_core._states import Outcome, Rejected, Resolved
from dp_core.values import check_message, check_parsed, decode, encode, split_object
from dp_core.wire._terms import write_outcome

__all__ = [
    "EVENT_STREAM",
    "Comment",
    "Event",
    "EventDecoder",
    "Notification",
    "write_comment",
    "write_event",
]

EVENT_STREAM: Final = "text/event-stream"
"""The media type of an event stream."""

MAX_OUTCOME_BYTES: Final = 64 * 1024
"""The longest outcome that is told by an event."""

MAX_EVENT_BYTES: Final = MAX_OUTCOME_BYTES + 6 * MAX_ID_BYTES + 1024
"""The longest event to read; each character of an id may be an escape."""


@final
@dataclass(frozen=True, slots=True)
class Comment:
    """A line of no content, which shows that the stream is alive."""


@final
@dataclass(frozen=True, slots=True)
class Notification:
    """
    News of a promise, from an event.

    Attributes:
        id: The promise's id.
        told: Its outcome, or that it was disposed of; None where it has an outcome
            that is to be asked for.
    """

    id: str
    told: Outcome[bytes] | PromiseDisposedError | None


Event: TypeAlias = Union[Comment, Notification]


# Written ----------------------------------------------------------------------


def write_comment() -> bytes:
    """Return a comment."""
    return b":\n\n"


def write_event(id: str, told: Outcome[bytes] | PromiseDisposedError | None) -> bytes:
    """Return the event that says of a promise what a `Notification` does."""
    if isinstance(told, PromiseDisposedError):
        member = b'"disposed":true'
    else:
        # Without the brackets around it.
        member = b'"ask":true' if told is None else write_outcome(told)[1:-1]
        if len(member) > len(b'"value":') + MAX_OUTCOME_BYTES:
            member = b'"ask":true'
    # A line cannot hold a line end, which JSON has between its items alone.
    line = (b'{"promiseId":%b,%b}' % (encode(id), member)).translate(_SPACES)
    return b"data: %b\n\n" % line


_SPACES: Final = bytes.maketrans(b"\r\n", b"  ")


# Read -------------------------------------------------------------------------


@final
class EventDecoder:
    """
    Reads an event stream from pieces of any length.

    What comes after the last whole event is never an event.
    """

    __slots__ = ("_data", "_has_begun", "_line", "_return_was_last")

    def __init__(self) -> None:
        self._line = bytearray()
        self._data = bytearray()
        self._return_was_last = False
        self._has_begun = False

    def feed(self, piece: bytes) -> list[Event]:
        """
        Take the bytes that come next; return the events that they complete.

        Raises:
            ProtocolError: It is not an event stream of the wire.
        """
        events: list[Event] = []
        # bytes.splitlines knows the same three line ends as the format.
        for part in piece.splitlines(keepends=True):
            if self._return_was_last and part == b"\n":
                # The other half of a line end, whose first half came before.
                self._return_was_last = False
                continue
            self._line += part
            if part.endswith((b"\r", b"\n")):
                line = bytes(self._line).rstrip(b"\r\n")
                self._line.clear()
                if (event := self._take(line)) is not None:
                    events.append(event)
            if len(self._line) + len(self._data) > MAX_EVENT_BYTES:
                raise ProtocolError(502, "an event of the stream is too long")
            self._return_was_last = part.endswith(b"\r")
        return events

    def _take(self, line: bytes) -> Event | None:
        """Take a line; return the event that it completes, if so."""
        if not self._has_begun:
            self._has_begun = True
            line = line.removeprefix(b"\xef\xbb\xbf")
        if line.startswith(b":"):
            return Comment()
        if line:
            field, _, value = line.partition(b":")
            if field == b"data":
                self._data += b"\n" * bool(self._data) + value.removeprefix(b" ")
            # Other fields are of no use here, and are to be passed over.
            return None
        if not self._data:
            return None
        data = bytes(self._data)
        self._data.clear()
        return _read_event(data)


def _read_event(text: bytes) -> Notification:
    try:
        members = split_object(text)
        id = _read_id(members.pop("promiseId", b"null"))
        match [*members.items()]:
            case [("value", value)]:
                return Notification(id, Resolved(check_parsed(value)))
            case [("error", error)]:
                message = check_message(decode(error), len(error))
                return Notification(id, Rejected(message))
            case [("disposed", b"true")]:
                return Notification(id, PromiseDisposedError(id))
            case [("ask", b"true")]:
                return Notification(id, None)
    except (CodecError, InvalidPromiseIdError) as error:
        raise ProtocolError(502, f"an event of the stream is {error}") from None
    raise ProtocolError(
        502,
        "an event of the stream has other members than promiseId, and one of value, "
        "error, disposed, ask",
    )


def _read_id(text: bytes) -> str:
    # Asked before decoding: a number of very many digits would take long.
    if not text.startswith(b'"'):
        raise ProtocolError(502, "an event of the stream names no promise")
    id: str = decode(text)
    check_id(id)
    return id
