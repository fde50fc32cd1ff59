"""`listen`: a socket that listens at a host and a port, or an error that helps."""

from __future__ import annotations

import errno
import socket
from ipaddress import ip_address
from typing import Any, Final

from anyio import getaddrinfo

from dp_core._errors import BackendUnavailableError
from dp_core._safe_text import quoted

__all__ = ["authority", "listen"]

_BACKLOG: Final = 2048

# Connections inherit all but the first.
_LISTENER_OPTIONS: Final = (
    ("SOL_SOCKET", "SO_REUSEADDR", 1),
    # uvicorn writes head and body apart; the body must not wait for the head's
    # acknowledgement, which may take 40 ms.
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


async def listen(host: str, port: int, *, token: bool) -> socket.socket:
    """
    Return a socket that listens at *host*.

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
    try:
        return _open(family, address)
    except OSError as error:
        what_to_do = _WHAT_TO_DO.get(error.errno or 0, error.strerror)
        raise BackendUnavailableError(
            f"cannot listen at {host} port {port}: {what_to_do}"
        ) from None


def authority(host: str, listener: socket.socket) -> str:
    """Return ``host:port`` of a listener, as in a URL (RFC 3986 §3.2)."""
    port = listener.getsockname()[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _open(family: int, address: tuple[Any, ...]) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        for level, option, value in _LISTENER_OPTIONS:
            if hasattr(socket, option):
                listener.setsockopt(
                    getattr(socket, level), getattr(socket, option), value
                )
        listener.bind(address)
        # Two servers may bind at the same moment; only one of them can listen.
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener
