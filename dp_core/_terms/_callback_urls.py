"""
`CallbackUrl`: what a URL of a callback may look like, and its parts.

Which hosts a server calls, and at which addresses, is said by the server.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final, final

from dp_core._errors import InvalidTermsError
from dp_core._text import quoted, shown

__all__ = ["MAX_URL_BYTES", "CallbackUrl", "parse_callback_url"]

MAX_URL_BYTES: Final = 2048
"""The longest URL of a callback."""


@final
@dataclass(frozen=True, slots=True)
class CallbackUrl:
    """
    A URL in its parts, each of which has one form.

    Attributes:
        scheme: ``http`` or ``https``.
        host: A name in lower case without a final dot, or an address without brackets.
        port: The port, also where the URL names none.
        target: Path and query.
    """

    scheme: str
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """Host and port as in ``Host``: without the port that its scheme has anyway."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


# What RFC 3986 allows in a URL; that is printable ASCII without "\" and the like.
_URL: Final = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)"
    r"(?P<target>[/?][^#]*)?(?P<fragment>#.*)?"
)
_FOREIGN: Final = re.compile(r"[^A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]")
_AUTHORITY: Final = re.compile(
    r"(?:\[(?P<address>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]+))(?::(?P<port>[0-9]{1,5}))?"
)
_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
# What programs take for a number has to be an address in its one form.
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PORTS: Final = {"http": 80, "https": 443}
_MAX_NAME: Final = 253


# The terms of a promise are read more often than they are given.
@lru_cache(maxsize=1024)
def parse_callback_url(url: str) -> CallbackUrl:
    """
    Return the parts of a URL.

    Raises:
        InvalidTermsError: It is not a valid URL for a callback.
    """
    if not isinstance(url, str):
        raise InvalidTermsError(f"a URL to notify is a string, not {shown(url)}")
    if len(url) > MAX_URL_BYTES:
        raise InvalidTermsError(
            f"a URL to notify has {len(url):,} characters, over the limit of "
            f"{MAX_URL_BYTES:,}"
        )
    if _FOREIGN.search(url):
        raise _refused(
            url,
            "it has a character that no URL has; percent-encode it, and write a host "
            "of other letters as xn--…",
        )
    match = _URL.fullmatch(url)
    scheme = match["scheme"].lower() if match else ""
    if match is None or scheme not in _PORTS:
        raise _refused(url, "write https://HOST/PATH, or http://")
    if "@" in match["authority"]:
        raise _refused(
            url,
            "a user or password in it would be kept and shown; callbacks are signed",
        )
    if match["fragment"] is not None:
        raise _refused(url, "a fragment (#) is not sent; leave it out")
    authority = _AUTHORITY.fullmatch(match["authority"])
    if authority is None:
        raise _refused(url, "it names no host, or no port from 1 to 65535")
    port = int(authority["port"] or _PORTS[scheme])
    if not 1 <= port <= 65535:
        raise _refused(url, "a port is a number from 1 to 65535")
    target = match["target"] or "/"
    return CallbackUrl(
        scheme,
        _host(url, authority["address"], authority["name"]),
        port,
        target if target.startswith("/") else f"/{target}",
    )


def _host(url: str, address: str | None, name: str | None) -> str:
    try:
        if name is None:
            return str(IPv6Address(address or ""))
        labels = name.lower().removesuffix(".").split(".")
        host = ".".join(labels)
        if _NUMBER.fullmatch(labels[-1]):
            return str(IPv4Address(host))
    except AddressValueError:
        raise _refused(
            url,
            "its host is not a valid address; write it as 192.0.2.1 or [2001:db8::1]",
        ) from None
    if len(host) > _MAX_NAME or not all(map(_LABEL.fullmatch, labels)):
        raise _refused(url, "its host is not a valid name")
    return host


def _refused(url: str, why: str) -> InvalidTermsError:
    return InvalidTermsError(f"{quoted(url, 200)} is not a valid URL to notify: {why}")
