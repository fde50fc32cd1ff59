"""Bodies of requests, read within bounds of length and time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

from anyio import move_on_after
from starlette.types import Receive

from dp_core._errors import ProtocolError

__all__ = ["Headers", "read_body", "throw_away_body"]

Headers: TypeAlias = Mapping[bytes, bytes]

LINGER_BYTES: Final = 16 * 1024 * 1024
"""Bytes of a body that is too long to throw away before it is refused.

A connection that is closed while its client sends is reset, and the client
never reads why (RFC 9112 §9.6).
"""

LINGER_SECONDS: Final = 5.0
"""The longest time to wait for the body of a request that is refused anyway."""


async def read_body(
    headers: Headers, receive: Receive, limit: int, media_type: str, seconds: float
) -> bytes:
    """
    Return the body of a request.

    Args:
        headers: The request's headers.
        receive: The ASGI channel.
        limit: How many bytes it may have.
        media_type: The type that it must have.
        seconds: The longest time that it may take.

    Raises:
        ProtocolError: It is too long, too slow, cut off, or not of that type.
    """
    # A client that expects a go-ahead sends nothing without it (RFC 9110
    # §10.1.1).
    lingers = 0 if b"expect" in headers else LINGER_BYTES
    if _declared(headers) > limit + lingers:
        raise _too_long(limit)
    with move_on_after(seconds) as scope:
        body = await _collect(receive, limit)
    if scope.cancelled_caught:
        raise ProtocolError(408, f"the body took over {seconds:g} s")
    if len(body) > limit:
        raise _too_long(limit)
    _check_content_type(headers, body, media_type)
    return body


async def throw_away_body(headers: Headers, receive: Receive, limit: int) -> None:
    """
    Read the body of a refused request, as far as a good one could go.

    So its client can read why, and an endless one is not read on.
    """
    if b"expect" in headers or _declared(headers) > limit:
        return
    size, more = 0, True
    with move_on_after(LINGER_SECONDS):
        while more and size <= limit:
            piece, more = await _piece(receive)
            size += len(piece)


async def _collect(receive: Receive, limit: int) -> bytes:
    first, more = await _piece(receive)
    if not more:
        return first
    pieces, size = [first], len(first)
    while more and size <= limit + LINGER_BYTES:
        piece, more = await _piece(receive)
        size += len(piece)
        if size <= limit:
            pieces.append(piece)
    if size > limit:
        raise _too_long(limit)
    return b"".join(pieces)


def _too_long(limit: int) -> ProtocolError:
    return ProtocolError(
        413,
        f"the body has more than {limit:,} bytes; store the bulk elsewhere "
        "and settle with a reference",
    )


async def _piece(receive: Receive) -> tuple[bytes, bool]:
    """Return a piece of a body, and whether there is more of it."""
    message = await receive()
    if message["type"] == "http.disconnect":
        # Also said of a body that is not framed as it has to be: somebody may listen.
        raise ProtocolError(400, "the body ended before its end")
    return message.get("body", b""), message.get("more_body", False)


def _declared(headers: Headers) -> int:
    # A length that is not a number is refused by the HTTP server; bytes are counted
    # anyway.
    length = headers.get(b"content-length", b"")[:20]
    return int(length) if length.isdigit() else 0


def _check_content_type(headers: Headers, body: bytes, media_type: str) -> None:
    coding = headers.get(b"content-encoding", b"identity").strip().lower()
    if coding != b"identity":
        raise ProtocolError(415, "the body must be sent as it is, without a coding")
    if not body and b"content-type" not in headers:
        return
    found = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if found != media_type.encode():
        raise ProtocolError(415, f"the body must have the content type {media_type}")
