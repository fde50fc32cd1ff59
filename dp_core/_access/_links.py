"""
Links for people: the URL of a promise's page, with a token for that promise alone.

The path names the promise for who reads it; the rights are the token's, which names
it by ``id``, never by a pattern.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

from dp_core._access._rights import Access
from dp_core._access._secrets import check_signing_secrets
from dp_core._access._signed import write_access
from dp_core._clock import now
from dp_core._errors import InvalidLinkError
from dp_core._ids import check_id
from dp_core._text import quoted, without_password

__all__ = ["PAGES_PATH", "link_base", "page_of", "write_link"]

PAGES_PATH: Final = "/p/"
"""The path below which each promise has its page."""

_RIGHTS: Final = frozenset({"read", "settle"})

# Whoever resolves a URL takes them for directories, percent-encoded or not
# (https://url.spec.whatwg.org/#double-dot-path-segment).
_DOTS: Final = frozenset({".", ".."})


def page_of(id: str, **members: str) -> str:
    """
    Return where the page of a promise is, below `PAGES_PATH`.

    Args:
        id: The promise's id.
        members: Members of its query.
    """
    if id in _DOTS:
        return f"?{urlencode({'id': id, **members})}"
    query = f"?{urlencode(members)}" if members else ""
    return quote(id, safe="") + query


def write_link(
    id: str, expires: datetime, secret: str, base: str, by: str | None = None
) -> str:
    """
    Return a link by which a person can look at a promise, and settle it.

    Args:
        id: The promise's id.
        expires: Until when.
        secret: A secret of the server.
        base: The server's URL, see `link_base`.
        by: Who has the link.

    Raises:
        InvalidPromiseIdError: *id* cannot name a promise.
        InvalidLinkError: It would be over already.
        AccessDeniedError: The secret is too short, or nobody can have that name.
    """
    check_id(id)
    check_signing_secrets([secret])
    if expires <= now():
        raise InvalidLinkError(
            "the link would be over already; give it time, such as "
            "expires=timedelta(days=3)"
        )
    access = Access(_RIGHTS, id=id, name=by)
    token = write_access(access, expires, [secret])
    return f"{base}{PAGES_PATH}{page_of(id, token=token)}"


def link_base(base: str | None, store: str) -> str:
    """
    Return the URL of the server to which a link leads.

    Args:
        base: The URL that was given, by which people reach the server; None for that
            of the store.
        store: The store's URL.

    Raises:
        InvalidLinkError: None was given, and the store is not a server; or it is not
            a URL of one.
    """
    shown = quoted(without_password(store if base is None else base), 200)
    try:
        parts = urlsplit(store if base is None else base)
        is_one = parts.scheme.lower() in ("http", "https") and bool(parts.hostname)
        # The port may not be a number.
        is_one = is_one and parts.port != 0
    except ValueError:
        is_one = False
    if not is_one:
        raise InvalidLinkError(
            f"a link leads to a server, and the store {shown} is not one; say where "
            "people reach yours: base='https://promises.example.com', or dp link --base"
            if base is None
            else f"{shown} is not a valid URL of a server; write one such as "
            "https://promises.example.com"
        )
    if base is not None and (parts.query or parts.fragment or "@" in parts.netloc):
        raise InvalidLinkError(
            f"{shown} has more in it than where a server is; write one such as "
            "https://promises.example.com"
        )
    host = parts.netloc.rpartition("@")[2]
    path = quote(parts.path.rstrip("/"), safe="/%:@!$&'()*+,;=~")
    return urlunsplit((parts.scheme.lower(), host, path, "", ""))
