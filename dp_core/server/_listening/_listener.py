"""
`reserve`: an address where a server may listen, or an error that helps.

The HTTP server opens its sockets itself, and would share a port with whoever else
does so. So the port is taken here first, for one server alone; `take_over` gives it
to the socket that the HTTP server opened, with the options that connections inherit.
"""

from __future__ import annotations

import errno
import socket
from ipaddress import ip_address
from typing import Any, Final

from anyio import getaddrinfo

from dp_core._errors import BackendUnavailableError
from dp_core._text import quoted

__all__ = ["BACKLOG", "authority", "reserve", "take_over"]

BACKLOG: Final = 2048
"""The most connections that wait to be accepted."""

# Connections inherit them.
_OPTIONS: Final = (
    ("IPPROTO_TCP", "TCP_NODELAY", 1),
    # A client that vanished without a FIN (a laptop asleep, a cable pulled) is
    # noticed within two minutes.
    ("SOL_SOCKET", "SO_KEEPALIVE", 1),
    ("IPPROTO_TCP", "TCP_KEEPIDLE", 60),
    ("IPPROTO_TCP", "TCP_KEEPINTVL", 15),
    ("IPPROTO_TCP", "TCP_KEEPCNT", 4),
)

_WHAT_TO_DO: Final = {
    errno.EADDRINUSE: "something listens there already; stop it, or choose another "
    "port (0 takes any that is free)",
    errno.EACCES: "ports below 1024 are the administrator's; choose one above",
    errno.EADDRNOTAVAIL: "this machine has no such address",
}


async def reserve(host: str, port: int, *, token: bool) -> socket.socket:
    """
    Return a socket that holds an address at *host*.

    Args:
        host: A name or an address of this machine; IPv4 where there is a
            choice.
        port: The port; 0 for any that is free.
        token: Whether requests will have to carry a token, without which
            only this machine may ask.

    Raises:
        BackendUnavailableError: It cannot listen there, or must not.
    """
    if not 0 <= port <= 65535:
        raise BackendUnavailableError(
            f"{port} is not a valid port; ports are 0 to 65535"
        )
    try:
        found = await getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise BackendUnavailableError(
            f"cannot listen at {quoted(host)}: it is not a name or an address of "
            f"this machine ({error})"
        ) from None
    family, _, _, _, address = min(found, key=lambda each: each[0] != socket.AF_INET)
    if not token and not ip_address(address[0]).is_loopback:
        raise BackendUnavailableError(
            f"other machines can reach {host}, so a server there needs a token: "
            "set DP_TOKEN, or listen at 127.0.0.1"
        )
    if "%" in address[0]:
        raise BackendUnavailableError(
            f"cannot listen at {quoted(host)}: the HTTP server takes no address with "
            "a scope; listen at ::, with a token"
        )
    try:
        return _open(family, address)
    except OSError as error:
        what_to_do = _WHAT_TO_DO.get(error.errno or 0, error.strerror)
        raise BackendUnavailableError(
            f"cannot listen at {host} port {port}: {what_to_do}"
        ) from None


def take_over(listener: socket.socket, send_seconds: float) -> None:
    """
    Prepare the HTTP server's own socket, in place of the one that held its port.

    Args:
        listener: The socket.
        send_seconds: The longest time for which a peer may take nothing of what it
            is sent. The kernel aborts the connection then (RFC 5482), also where
            the peer acknowledges every probe and never reads.
    """
    milliseconds = round(send_seconds * 1000)
    for level, option, value in (
        *_OPTIONS,
        ("IPPROTO_TCP", "TCP_USER_TIMEOUT", milliseconds),
    ):
        if hasattr(socket, option):
            listener.setsockopt(getattr(socket, level), getattr(socket, option), value)


def authority(host: str, listener: socket.socket) -> str:
    """Return ``host:port`` of a listener, as in a URL (RFC 3986 §3.2)."""
    port = listener.getsockname()[1]
    if not host.isascii():
        # As it was resolved, and as browsers send it.
        host = host.encode("idna").decode("ascii")
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _open(family: int, address: tuple[Any, ...]) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        # Two servers may bind at the same moment; only one of them can listen.
        listener.listen()
        # For the HTTP server, which asks for it, too. Nobody else does.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    except OSError:
        listener.close()
        raise
    return listener
