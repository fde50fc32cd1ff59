"""
`Origins`: which page a request is from, as browsers say, and whether that may ask.

People open pages from anywhere: a link in a mail that is read in a browser comes from
another site (``Sec-Fetch-Mode: navigate``, ``Sec-Fetch-Dest: document``). That changes
nothing, and the other site reads nothing of it.

The page of a link lets nobody know where its reader was, as there is a token in its
URL, and so a browser says ``Origin: null`` for the form in it (Fetch §3.2), as it does
for pages of anybody's in a sandbox. Where it says ``Sec-Fetch-Site: same-origin``, too,
that is a page of ours. It says so over TLS and to this machine only; elsewhere such a
form has to bring the token itself, which no foreign page has: `Guard.check_form`.

A form without a token of its own counts by what its browser has, or by where it is: a
cookie, or this network. So its page has to be known: by ``Origin``, which is all that
browsers say over plain HTTP from other machines, or by ``Sec-Fetch-Site: same-origin``.

A proxy that ends TLS makes an origin (``https://…``) that the server cannot see: it is
told by `Settings.public_url`, as anybody can write what proxies write.

Origins that are allowed are kept in the one form in which browsers write them
(`written_origin`), which is also what the answers to preflights are made from.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv6Address
from typing import Final

from starlette.types import Scope

from dp_core._access import PublicUrl
from dp_core._errors import AccessDeniedError
from dp_core._text import quoted
from dp_core.server._guarding._bodies import Headers
from dp_core.server._guarding._hosts import is_port

__all__ = [
    "Origins",
    "names_its_page",
    "opens_page",
    "text_of_header",
    "written_origin",
]

_OWN_PAGE: Final = b"same-origin"
_OWN_SITES: Final = (b"none", _OWN_PAGE)
"""Names that browsers have for the user, and for pages of this server's own."""

_DEFAULT_PORT: Final = {"http": 80, "https": 443}
_ORIGIN: Final = re.compile(
    r"([a-z][a-z0-9+.-]*)://(\[[0-9a-f:.]+\]|[^\x00-\x20\x7f-\U0010ffff/?#@*,:\[\]\\]+)"
    r"(?::([0-9]*))?/?"
)


class Origins:
    """
    The origins of pages that may ask.

    Args:
        allowed: Those of other sites that are allowed.
        public: Where people see the server, as its settings say it.

    Raises:
        AccessDeniedError: One of those that are allowed is not an origin.
    """

    def __init__(self, allowed: Iterable[str], public: PublicUrl | None) -> None:
        self._allowed = frozenset(map(written_origin, allowed))
        self._own: frozenset[str] = frozenset(
            () if public is None else (public.origin,)
        )

    def foreign(
        self,
        headers: Headers,
        scope: Scope,
        *,
        may_hide: bool = False,
        only_own: bool = False,
    ) -> str | None:
        """
        Return the pages that a request is from, in words; None if they may ask.

        Args:
            headers: Its headers.
            scope: The request.
            may_hide: Whether its page may hide where it is.
            only_own: Whether it has to be a page of this server's own.
        """
        if b"origin" in headers:
            origin = text_of_header(headers, b"origin")
            if origin in self._allowed and not only_own:
                return None
            host = text_of_header(headers, b"host")
            own = self._own | {f"{scope.get('scheme', 'http')}://{host}"}
            site = headers.get(b"sec-fetch-site")
            if site == _OWN_PAGE:
                # Its page hides where it is, or a proxy has ended its TLS.
                own |= {"null", f"https://{host}"}
            elif may_hide:
                own |= {"null"}
            if origin not in own:
                return f"pages of {quoted(origin)}"
        if headers.get(b"sec-fetch-site", b"none") not in _OWN_SITES:
            return "pages of other sites"
        return None


def written_origin(text: str) -> str:
    """
    Return an origin as browsers write it: small letters, no port that is the usual one.

    Raises:
        AccessDeniedError: It is not one site: no browser would send it, or pages of
            anybody's would, as they do ``null``.
    """
    match = _ORIGIN.fullmatch(text.lower())
    scheme, host, port = match.groups() if match else ("", "", "")
    if host.startswith("["):
        host = _in_one_form(host)
    if not host or not is_port(port or ""):
        raise AccessDeniedError(
            f"{quoted(text)} is not a valid origin; write that of one site, such as "
            "https://example.com or http://localhost:3000, in ASCII and without a path"
        )
    usual = not port or int(port) == _DEFAULT_PORT.get(scheme)
    return f"{scheme}://{host}" + ("" if usual else f":{int(port)}")


def _in_one_form(host: str) -> str:
    """Return an IPv6 address in brackets without needless zeros; "" if it is none."""
    try:
        return f"[{IPv6Address(host[1:-1]).compressed}]"
    except ValueError:
        return ""


def names_its_page(headers: Headers) -> bool:
    """Tell whether a browser has said which page a form was sent from."""
    return b"origin" in headers or headers.get(b"sec-fetch-site") == _OWN_PAGE


def opens_page(headers: Headers, scope: Scope) -> bool:
    """Tell whether a person has opened a page in a window of its own."""
    return (
        scope["method"] == "GET"
        and b"origin" not in headers
        and headers.get(b"sec-fetch-mode") == b"navigate"
        and headers.get(b"sec-fetch-dest") == b"document"
    )


def text_of_header(headers: Headers, name: bytes) -> str:
    """Return a header whose case does not matter; "" if it is not there."""
    return headers.get(name, b"").decode("latin-1").lower()
