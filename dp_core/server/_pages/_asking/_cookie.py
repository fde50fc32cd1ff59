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

__all__ = ["MAX_TOKEN", "cookies_of", "token_in_cookie"]

MAX_TOKEN: Final = 3000
"""The longest token, in characters, that surely fits into a cookie (RFC 6265 §6.1)."""

_NAME: Final = "dp-token"
_NAME_OVER_TLS: Final = f"__Host-{_NAME}"
"""The name of a cookie that no other host of the site can set (RFC 6265bis §4.1.3)."""


def token_in_cookie(headers: Headers) -> bytes:
    """Return the token in the cookie of a request; empty if there is none."""
    found: dict[bytes, bytes] = {}
    for pair in headers.get(b"cookie", b"").split(b";"):
        name, _, value = pair.strip().partition(b"=")
        found.setdefault(name, unquote_to_bytes(value))
    # A proxy may have ended the TLS, so this server cannot tell which one to expect.
    return found.get(_NAME_OVER_TLS.encode()) or found.get(_NAME.encode(), b"")


def cookies_of(token: str, path: str, *, secure: bool) -> list[Header]:
    """
    Return the headers that give a browser its token, or take it away.

    Args:
        token: The token; empty to take it away.
        path: The path of the app.
        secure: Whether the browser asks over TLS: `AdmittedRequest.is_over_tls`.
    """
    # Only of the whole host may it have that name.
    names = [_NAME_OVER_TLS, _NAME] if secure and path == "/" else [_NAME]
    # One token at a time: what was kept by the other name goes.
    values = [token, *("" for _ in names[1:])]
    return [
        (b"set-cookie", _written(name, value, path, secure=secure))
        for name, value in zip(names, values, strict=True)
    ]


def _written(name: str, token: str, path: str, *, secure: bool) -> bytes:
    parts = [
        f"{name}={quote(token, safe='')}",
        f"Path={quote(path, safe='/%')}",
        "HttpOnly",
        "SameSite=Strict",
        *(["Secure"] if secure else []),
        *([] if token else ["Max-Age=0"]),
    ]
    return "; ".join(parts).encode("ascii")
