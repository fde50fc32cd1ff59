"""
`Guard`: refuses requests by their headers, and reads bodies within bounds.

Any web page that a user visits can send requests to ``localhost``. Browsers
let it, but they name the page (``Origin``, ``Sec-Fetch-Site``). We trust these
headers: `Guard.check` refuses every request that is not plainly from a program
or from a page of this server's own, before any work is done. Bodies are
counted while they arrive, whatever a header says about their length.

=============================== ======================================
``Host`` is not ours            421: a foreign name was made to resolve to this
                                machine (DNS rebinding)
``Origin``, ``Sec-Fetch-Site``  403: a page of another site asks
no or another bearer token      401, without saying which
not POST                        405: links and images must not change anything
not ``application/json``        415: the types a foreign page can send
                                without asking first (Fetch §2.2.2)
a body too long, or too slow    413, 408
=============================== ======================================
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from hmac import compare_digest
from typing import Final, TypeAlias

from anyio import move_on_after
from starlette.types import Receive, Scope

from dp_core._errors import ProtocolError
from dp_core._safe_text import quoted
from dp_core.server._settings import Settings
from dp_core.wire import ENVELOPE_BYTES

__all__ = ["ClientGoneError", "Guard", "Headers"]

Headers: TypeAlias = Mapping[bytes, bytes]

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
"""Names by which a machine calls itself."""

LINGER_BYTES: Final = 16 * 1024 * 1024
"""Bytes of a body that is too long to throw away before it is refused.

A connection that is closed while its client sends is reset, and the client
never reads why (RFC 9112 §9.6).
"""

# Two of one of these would be read one way here and another way elsewhere.
_SINGLE: Final = frozenset(
    {
        b"authorization",
        b"content-length",
        b"content-type",
        b"host",
        b"origin",
        b"sec-fetch-site",
    }
)
_DEFAULT_PORT: Final = {"http": "80", "https": "443"}


class ClientGoneError(Exception):
    """The client went away, so there is nobody to answer."""


class Guard:
    """Refuses requests that the server's settings do not allow."""

    def __init__(self, settings: Settings) -> None:
        self._hosts = frozenset(host.lower() for host in settings.allowed_hosts)
        self._origins = frozenset(origin.lower() for origin in settings.allowed_origins)
        self._token = None if settings.token is None else _hash(settings.token.encode())
        self._limit = settings.max_value_bytes + ENVELOPE_BYTES
        self._seconds = settings.body_seconds

    def check(self, scope: Scope) -> Headers:
        """
        Return the headers of a request that is allowed.

        Raises:
            ProtocolError: The request is refused.
        """
        headers: Headers = dict(scope["headers"])
        if len(headers) < len(scope["headers"]):
            _check_single(scope)
        host = _text(headers, b"host")
        self._check_host(host, scope)
        self._check_origin(headers, f"{scope.get('scheme', 'http')}://{host}")
        self._check_token(headers)
        if scope["method"] != "POST":
            raise ProtocolError(405, "every operation is a POST")
        return headers

    async def read_body(self, headers: Headers, receive: Receive) -> bytes:
        """
        Return the body of a request.

        Raises:
            ProtocolError: It is too long, too slow, or not of JSON's type.
            ClientGoneError: It ended before its end.
        """
        # A client that expects a go-ahead sends nothing without it (RFC 9110
        # §10.1.1).
        lingers = 0 if b"expect" in headers else LINGER_BYTES
        if _declared(headers) > self._limit + lingers:
            raise self._too_long()
        body, more = await _piece(receive)
        if more:
            # Most bodies come in one piece, and need no timer.
            with move_on_after(self._seconds) as scope:
                body = await self._collect(body, receive)
            if scope.cancelled_caught:
                raise ProtocolError(408, f"the body took over {self._seconds:g} s")
        if len(body) > self._limit:
            raise self._too_long()
        _check_content_type(headers, body)
        return body

    async def _collect(self, first: bytes, receive: Receive) -> bytes:
        pieces, size, more = [first], len(first), True
        while more and size <= self._limit + LINGER_BYTES:
            piece, more = await _piece(receive)
            size += len(piece)
            if size <= self._limit:
                pieces.append(piece)
        if size > self._limit:
            raise self._too_long()
        return b"".join(pieces)

    def _too_long(self) -> ProtocolError:
        return ProtocolError(
            413,
            f"the body has more than {self._limit:,} bytes; store the bulk elsewhere "
            "and settle with a reference",
        )

    def _check_host(self, host: str, scope: Scope) -> None:
        if not host:
            raise ProtocolError(400, "the Host header is missing")
        name, port = _split_host(host, scope.get("scheme", "http"))
        if name in self._hosts or f"{name}:{port}" in self._hosts:
            return
        address, own_port = scope.get("server") or ("", None)
        own_name = f"[{address}]" if ":" in address else address
        known = name in LOOPBACK or name == own_name
        if not known or (own_port is not None and port != str(own_port)):
            raise ProtocolError(
                421,
                f"this server is not known as {quoted(host)}; its owner can allow "
                "that name",
            )

    def _check_origin(self, headers: Headers, own: str) -> None:
        origin = _text(headers, b"origin")
        if b"origin" in headers and origin != own and origin not in self._origins:
            raise ProtocolError(403, f"pages of {quoted(origin)} may not ask")
        if headers.get(b"sec-fetch-site") == b"cross-site":
            raise ProtocolError(403, "pages of other sites may not ask")

    def _check_token(self, headers: Headers) -> None:
        if self._token is None:
            return
        scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
        # Hashes have one length, so that the time tells nothing.
        same = compare_digest(_hash(token.strip()), self._token)
        if not same or scheme.lower() != b"bearer":
            raise ProtocolError(401, "this server asks for a token")


async def _piece(receive: Receive) -> tuple[bytes, bool]:
    """Return a piece of a body, and whether there is more of it."""
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGoneError
    return message.get("body", b""), message.get("more_body", False)


def _hash(token: bytes) -> bytes:
    return sha256(token).digest()


def _text(headers: Headers, name: bytes) -> str:
    return headers.get(name, b"").decode("latin-1").lower()


def _check_single(scope: Scope) -> None:
    names = [name for name, _ in scope["headers"] if name in _SINGLE]
    if len(set(names)) < len(names):
        raise ProtocolError(400, "a header is there twice")


def _split_host(host: str, scheme: str) -> tuple[str, str]:
    """Return name and port of a ``Host``; an IPv6 address keeps its brackets."""
    name, colon, port = host.rpartition(":")
    if not colon or host.endswith("]"):
        return host, _DEFAULT_PORT.get(scheme, "")
    return name, port


def _declared(headers: Headers) -> int:
    # A length that is not a number is refused by the HTTP server; bytes are counted
    # anyway.
    length = headers.get(b"content-length", b"")[:20]
    return int(length) if length.isdigit() else 0


def _check_content_type(headers: Headers, body: bytes) -> None:
    if not body and b"content-type" not in headers:
        return
    media_type = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if media_type != b"application/json":
        raise ProtocolError(415, "the body must have the content type application/json")
