"""
`Hosts`: the names by which a server may be called.

An address has several forms, and all of them are one host: an IPv4 address as a
server at ``::`` sees it (``::ffff:192.0.2.1``, RFC 4291 §2.5.5.2), a link-local one
with its scope (RFC 6874), and an IPv6 address with or without its zeros.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv6Address, ip_address
from typing import Any, Final, final

from dp_core._errors import AccessDeniedError
from dp_core._text import quoted

__all__ = ["Hosts", "is_port"]

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
"""Names by which a machine calls itself."""

_EVERYWHERE: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - names, not a choice
_DEFAULT_PORT: Final = {"http": "80", "https": "443"}
_MOST_KNOWN: Final = 100
_LONG: Final = 300
_AUTHORITY: Final = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]*)(?::([0-9]*))?")
_NO_NAME: Final = re.compile(r"[^!-~]|[/?#@*,\\]")
"""A part that no name of a host has, as browsers send it."""


@final
class Hosts:
    """
    Names that are a server's own.

    Args:
        allowed: Names, or ``name:port``, besides the loopback names and the address
            at which a request was received.

    Raises:
        AccessDeniedError: One of them is not such a name.
    """

    def __init__(self, allowed: Iterable[str]) -> None:
        found = [_allowed(host) for host in allowed]
        self._anywhere = {name for name, port in found if not port}
        self._at_port = {(name, port) for name, port in found if port}
        # Those that were found to be ours: to read an address takes long.
        self._known: set[tuple[Any, ...]] = set()

    def know(self, host: str, scheme: str, server: Any) -> bool:
        """
        Return whether a server may be called by this name.

        Args:
            host: The value of ``Host``, in lower case.
            scheme: ``http`` or ``https``.
            server: Address and port at which the request was received, as ASGI has
                it; a port of None is not compared.
        """
        asked = (host, scheme, *(server or ()))
        if asked in self._known:
            return True
        is_own = self._is_own(host, scheme, server)
        if is_own and len(host) < _LONG and len(self._known) < _MOST_KNOWN:
            self._known.add(asked)
        return is_own

    def _is_own(self, host: str, scheme: str, server: Any) -> bool:
        name, port = _split(host)
        port = port or _DEFAULT_PORT.get(scheme, "")
        if name in self._anywhere or (name, port) in self._at_port:
            return True
        address, own_port = server or ("", None)
        own = _normal(address)
        # Some servers say that they listen at all addresses, and not which it was. Then
        # any address will do: rebinding needs a name, an address is not resolved.
        everywhere = own in _EVERYWHERE and _is_address(name)
        known = name in LOOPBACK or (name != "" and name == own) or everywhere
        return known and (own_port is None or port == str(own_port))


def _allowed(text: str) -> tuple[str, str]:
    """Return a name that somebody wrote, and its port."""
    host = text.lower()
    if host.count(":") > 1 and not host.startswith("["):
        host = f"[{host}]"
    name, port = _split(host)
    is_name = name and not _NO_NAME.search(name)
    if host.startswith("["):
        is_name = _is_address(name)
    if not is_name or not is_port(port):
        raise AccessDeniedError(
            f"{quoted(text)} is not a valid name of a server; write one such as "
            "promises.example.com, NAME:PORT, or an address, without https:// and "
            "in ASCII"
        )
    return name, port.lstrip("0")


def is_port(text: str) -> bool:
    """Return whether digits are a port to which somebody could connect, or none."""
    return not text or (len(text) < 10 and 0 < int(text) < 1 << 16)


def _split(host: str) -> tuple[str, str]:
    """Return the name in its one form, and the port; no name where it is not valid."""
    match = _AUTHORITY.fullmatch(host)
    if match is None:
        return "", ""
    name, port = match[1], match[2] or ""
    if name.startswith("["):
        # "%25" is the "%" before a scope, in a URL.
        return _normal(name[1:-1].replace("%25", "%")), port
    return _normal(name), port


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _normal(name: str) -> str:
    try:
        address = ip_address(name.partition("%")[0])
    except ValueError:
        return name
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(address)
