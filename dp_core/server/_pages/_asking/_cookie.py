"""
`token_in_cookie`: the token that a browser was given, and how it is given.

No script can read it, and no page of another site can have it sent. It goes when the
browser is closed.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote, unquote_to_bytes

from dp_core.server._guarding import Headers
from dp_core.server._routing import Header

__all__ = ["MAX_TOKEN", "cookie_of", "token_in_cookie"]

MAX_TOKEN: Final = 3000
"""The longest token, in characters, that surely fits into a cookie (RFC 6265 §6.1)."""

_NAME: Final = "dp-token"


def token_in_cookie(headers: Headers) -> bytes:
    """Return the token in the cookie of a request; empty if there is none."""
    for pair in headers.get(b"cookie", b"").split(b";"):
        name, _, value = pair.strip().partition(b"=")
        if name == _NAME.encode():
            return unquote_to_bytes(value)
    return b""


def cookie_of(token: str, path: str, *, secure: bool) -> Header:
    """
    Return the header that gives a browser its token, or takes it away.

    Args:
        token: The token; empty to take it away.
        path: The path of the app.
        secure: Whether the browser asks over TLS.
    """
    parts = [
        f"{_NAME}={quote(token, safe='')}",
        f"Path={quote(path, safe='/%')}",
        "HttpOnly",
        "SameSite=Strict",
        *(["Secure"] if secure else []),
        *([] if token else ["Max-Age=0"]),
    ]
    return b"set-cookie", "; ".join(parts).encode("ascii")
