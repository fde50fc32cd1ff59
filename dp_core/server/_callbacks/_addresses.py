"""
`AllowedHosts`: the hosts that a server calls, and at which addresses.

A server can reach what its clients cannot: services that trust whoever is on this
machine, or in this network. Who names a URL must not get there (server-side request
forgery). So the operator names the hosts, and the address of each connection is looked
at, as a name may lead anywhere, and elsewhere from one moment to the next.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Final, TypeAlias, final

from dp_core._errors import AccessDeniedError, InvalidTermsError
from dp_core._terms import CallbackUrl, parse_callback_url
from dp_core._text import quoted

__all__ = ["AllowedHosts"]

_Address: TypeAlias = IPv4Address | IPv6Address
_Network: TypeAlias = IPv4Network | IPv6Network


def _networks(*texts: str) -> tuple[_Network, ...]:
    return tuple(map(ip_network, texts))


# Both by the registries of special-purpose addresses of IANA (RFC 6890, as of 2025).
_NOT_PUBLIC: Final = _networks(
    "0.0.0.0/8",  # this network
    "10.0.0.0/8",  # private
    "100.64.0.0/10",  # shared by the customers of a provider
    "127.0.0.0/8",  # loopback
    "169.254.0.0/16",  # link-local; at clouds the metadata of a machine
    "172.16.0.0/12",  # private
    "192.0.0.0/24",  # protocols
    "192.0.2.0/24",  # documentation
    "192.88.99.0/24",  # 6to4 relays
    "192.168.0.0/16",  # private
    "198.18.0.0/15",  # benchmarks
    "198.51.100.0/24",  # documentation
    "203.0.113.0/24",  # documentation
    "224.0.0.0/4",  # multicast
    "240.0.0.0/4",  # reserved, broadcast
    "2001::/23",  # protocols, Teredo
    "2001:db8::/32",  # documentation
    "2002::/16",  # 6to4, which has an IPv4 address in it
    "3fff::/20",  # documentation
)
_PUBLIC_6: Final = IPv6Network("2000::/3")
"""All of IPv6 that is for everybody; loopback, NAT64 and private ones are elsewhere."""

_NEVER: Final = _networks(
    "0.0.0.0/8",
    "100.100.100.200/32",  # metadata at Alibaba
    "168.63.129.16/32",  # the host of a machine at Azure
    "169.254.0.0/16",
    "192.0.0.192/32",  # metadata at Oracle
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/128",
    "fd00:ec2::254/128",  # metadata at Amazon
    "fe80::/10",  # link-local
    "ff00::/8",  # multicast
)
"""Networks to which a name never leads; only who writes such an address means it."""

_NAT64: Final = _networks("64:ff9b::/96", "64:ff9b:1::/48")


def _is_public(address: _Address) -> bool:
    if isinstance(address, IPv6Address) and address not in _PUBLIC_6:
        return False
    return not _is_in(address, _NOT_PUBLIC)


def _is_in(address: _Address, networks: Iterable[_Network]) -> bool:
    return any(
        address.version == network.version and address in network
        for network in networks
    )


def _forms(address: _Address) -> Iterable[_Address]:
    """Yield an address, and the one of IPv4 that is in it."""
    yield address
    if isinstance(address, IPv6Address):
        for inner in (address.ipv4_mapped, address.sixtofour):
            if inner is not None:
                yield inner
        if _is_in(address, _NAT64):
            yield IPv4Address(address.packed[-4:])


@final
class AllowedHosts:
    """
    The hosts that a server calls.

    Args:
        allowed: ``HOST`` or ``HOST:PORT`` for a name or an address, wherever that is;
            ``*.example.com`` for the names below one, and ``*`` for all hosts, as far
            as their addresses are public.

    Raises:
        AccessDeniedError: One of them is not a host.
    """

    def __init__(self, allowed: Iterable[str]) -> None:
        self._named: set[tuple[str, int | None]] = set()
        self._below: list[tuple[str, int | None]] = []
        for text in allowed:
            host, port, is_end = _parsed(text)
            if is_end:
                self._below.append((host, port))
            else:
                self._named.add((host, port))

    def check(self, url: CallbackUrl) -> None:
        """
        Refuse a URL that this server does not call, as far as the URL tells.

        Raises:
            InvalidTermsError: It does not.
        """
        if not self._is_known(url):
            raise InvalidTermsError(
                f"this server does not call the host {quoted(url.host)}, at port "
                f"{url.port}; its operator names hosts by dp serve --notify-allow HOST"
            )
        try:
            address = ip_address(url.host)
        except ValueError:
            return
        if not self.is_allowed(url, str(address)):
            raise InvalidTermsError(
                f"this server does not call {quoted(url.host)}, which is not a public "
                "address; its operator may name it by dp serve --notify-allow"
            )

    def is_allowed(self, url: CallbackUrl, address: str) -> bool:
        """Tell whether to connect to an address, which was found for a URL's host."""
        if not self._is_known(url):
            return False
        found = ip_address(address)
        is_named = self._is_named(url)
        if is_named and url.host == str(found):
            return True
        if any(_is_in(form, _NEVER) for form in _forms(found)):
            return False
        return is_named or _is_public(found)

    def _is_known(self, url: CallbackUrl) -> bool:
        return self._is_named(url) or any(
            url.host.endswith(end) and port in (None, url.port)
            for end, port in self._below
        )

    def _is_named(self, url: CallbackUrl) -> bool:
        return not self._named.isdisjoint({(url.host, None), (url.host, url.port)})


def _parsed(text: str) -> tuple[str, int | None, bool]:
    """Return a host or the end of hosts, the port if it is named, and which it is."""
    name, _, port = text.partition(":")
    if name == "*":
        # Any name has the parts of one.
        host, port_number, _ = _parsed(f"*.x:{port}" if port else "*.x")
        return host.removesuffix(".x"), port_number, True
    is_end = text.startswith("*.")
    name = text.removeprefix("*.") if is_end else text
    if name.count(":") > 1 and not name.startswith("["):
        name = f"[{name}]"
    url = None
    if not set(name) & set("/?#@*"):
        with suppress(InvalidTermsError):
            url = parse_callback_url(f"http://{name}/")
    if url is None:
        raise AccessDeniedError(
            f"{quoted(text)} is not a valid host to call; write a name such as "
            "hooks.example.com, HOST:PORT, an address, *.example.com, or * for all "
            "that are public"
        )
    has_port = not name.endswith("]") and ":" in name.rpartition("]")[2]
    return (
        f".{url.host}" if is_end else url.host,
        url.port if has_port else None,
        is_end,
    )
