"""
`HttpResponse`, and `ResponseReader`, which makes one of the bytes of a connection.

httptools (llhttp, the parser of Node) does the reading. It is strict about the
bytes of a head and of chunks, and about a ``Content-Length`` that is not one
number or stands beside a ``Transfer-Encoding``. What it lets pass and we must
not is refused here, once the head is read: there is no second parser.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, final

from httptools import (
    HttpParserCallbackError,
    HttpParserError,
    HttpParserUpgrade,
    HttpResponseParser,
)

from dp_core import MAX_VALUE_BYTES

__all__ = [
    "MAX_BODY_BYTES",
    "MAX_HEAD_BYTES",
    "HttpResponse",
    "MalformedResponseError",
    "ResponseReader",
]

MAX_HEAD_BYTES: Final = 64 * 1024
"""The largest head to read, interim responses before it included."""

MAX_BODY_BYTES: Final = 64 * MAX_VALUE_BYTES
"""The largest body to read; a server may allow more than our own default."""

_BODILESS: Final = (204, 304)
_FRAMED: Final = frozenset((b"content-length", b"transfer-encoding"))
_VERSIONS: Final = ("1.0", "1.1")
_LINE_ENDS: Final = (b"\r", b"\n")


class MalformedResponseError(Exception):
    """
    The bytes received are not a response of HTTP/1.1 as we accept it.

    Attributes:
        reason: What is wrong with them, in words for a person.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@final
@dataclass(slots=True)
class HttpResponse:
    """
    One whole response.

    Attributes:
        status: The status code, 200 or above.
        headers: The header fields; names in lower case, values without white
            space around them, repeated fields joined by commas (RFC 9110 §5.3).
        body: The body, with the transfer coding undone.
        reusable: Whether the connection it came on may be used again.
    """

    status: int
    headers: Mapping[bytes, bytes]
    body: bytes
    reusable: bool


class ResponseReader:
    """
    Reads one response after the other from the bytes of one connection.

    The methods without a docstring are called by the parser.
    """

    __slots__ = (
        "_body",
        "_headers",
        "_keep_alive",
        "_parser",
        "_received",
        "_refusal",
        "_status",
        "_trailing",
        "_until_close",
        "_whole",
    )

    def __init__(self) -> None:
        self._parser = HttpResponseParser(self)
        self.begin()

    def begin(self) -> None:
        """Expect the response to another request."""
        self._status = 0  # of the final response, once its head is read
        self._headers: dict[bytes, bytes] = {}
        self._body = bytearray()
        self._received = 0
        self._keep_alive = False
        self._whole = False
        self._trailing = False
        self._until_close = False
        self._refusal: str | None = None

    def feed(self, data: bytes) -> HttpResponse | None:
        """
        Take the bytes received next; return the response they complete, if so.

        Raises:
            MalformedResponseError: No response can be made of them.
        """
        # llhttp takes RTSP and ICE, too, and line ends before a response.
        if not self._received and data[:7] != b"HTTP/1."[: len(data)]:
            raise MalformedResponseError(
                f"it says {data[:80].decode(errors='replace')!r}"
            )
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except HttpParserCallbackError as error:
            # Nothing of the peer's: on trio, Ctrl-C may be raised in a callback.
            raise error.__context__ or error from None
        except (HttpParserError, HttpParserUpgrade) as error:
            # Bytes after a whole response do not make it less whole.
            if not self._whole:
                raise MalformedResponseError(self._refusal or str(error)) from None
        if self._refusal is None and self._received > MAX_HEAD_BYTES:
            self._refusal = self._too_long()
        if self._refusal is not None:
            raise MalformedResponseError(self._refusal)
        if not self._whole:
            return None
        reusable = self._keep_alive and not (self._trailing or self._skipped(data))
        return HttpResponse(self._status, self._headers, bytes(self._body), reusable)

    @property
    def is_silent(self) -> bool:
        """Whether nothing of the response has come yet."""
        return not self._received

    @property
    def begun(self) -> HttpResponse | None:
        """The head of a response that is not whole; None before it was read."""
        if not self._status:
            return None
        return HttpResponse(self._status, self._headers, b"", reusable=False)

    def take(self) -> bytes:
        """
        Return what has come of the body, and forget it.

        So the body of a response that is read as it comes may be of any length.
        """
        piece = bytes(self._body)
        self._body.clear()
        self._received = min(self._received, 1)
        return piece

    def end(self) -> HttpResponse | None:
        """
        Take the end of the connection; return the response it completes, if so.

        A body without a length ends there (RFC 9112 §6.3, rule 8), and a cut one
        would look whole. Of the wire's answers, none is the beginning of another
        one, except that with an empty body: that is not taken for whole.
        """
        if not self._until_close or (not self._body and self._status < 300):
            return None
        body = bytes(self._body)
        return HttpResponse(self._status, self._headers, body, reusable=False)

    def _too_long(self) -> str | None:
        # Chunks that are all extension, or a trailer, have no end otherwise.
        most = MAX_HEAD_BYTES + 2 * MAX_BODY_BYTES
        fits = self._status and len(self._body) <= MAX_BODY_BYTES
        return None if fits and self._received <= most else "it is too long"

    def _skipped(self, data: bytes) -> bool:
        """Whether llhttp skipped line ends after the response, saying nothing."""
        if not data.endswith(_LINE_ENDS):
            return False
        chunked = b"transfer-encoding" in self._headers
        end = b"\r\n\r\n" if chunked or not self._body else self._body
        return _trailing_line_ends(data) > _trailing_line_ends(end)

    # Called by the parser ----------------------------------------------------

    def on_message_begin(self) -> None:
        self._trailing = self._whole

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._status:
            name, value = name.lower(), value.strip(b" \t")
            if name in self._headers:
                value = self._headers[name] + b", " + value
            self._headers[name] = value

    def on_headers_complete(self) -> None:
        if self._whole:
            return
        status, version = (
            self._parser.get_status_code(),
            self._parser.get_http_version(),
        )
        self._refusal = self._refused(status, version)
        if 100 <= status < 200:
            # An interim response (RFC 9110 §15.2); the final one follows.
            self._headers = {}
            return
        self._status = status
        self._until_close = status not in _BODILESS and not _FRAMED & set(self._headers)
        # Connections of HTTP/1.0 are not worth the doubt (RFC 9112 §C.2.2).
        self._keep_alive = version == "1.1" and self._parser.should_keep_alive()

    def on_body(self, data: bytes) -> None:
        if not self._whole:
            self._body += data

    def on_message_complete(self) -> None:
        self._whole = bool(self._status)

    def _refused(self, status: int, version: str) -> str | None:
        """Return why a head that llhttp lets pass is refused; None if it is not."""
        coding = self._headers.get(b"transfer-encoding")
        length = self._headers.get(b"content-length")
        if version not in _VERSIONS:
            return f"its version is HTTP/{version}"
        if status < 100 or status == 101:
            # RFC 9110 §15; nobody asked for another protocol (§15.2.2).
            return f"its status is {status:03}"
        if status < 200 or status in _BODILESS:
            return None
        # RFC 9112 §6.1: no other coding was asked for, and HTTP/1.0 has none.
        if coding is not None and (version, coding.lower()) != ("1.1", b"chunked"):
            return f"its Transfer-Encoding is {coding.decode('latin-1')!r}"
        return "it is too long" if int(length or 0) > MAX_BODY_BYTES else None


def _trailing_line_ends(data: bytes | bytearray) -> int:
    return len(data) - len(data.rstrip(b"\r\n"))
