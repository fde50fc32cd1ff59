"""
Sockets of this process, as its kernel lists them.

The HTTP server opens and accepts its sockets itself, and has no door by which
they could be reached. The kernel has: whatever a process has open, it may list,
duplicate, ask and shut down. Nothing here knows HTTP.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

__all__ = [
    "AcceptedConnection",
    "Descriptor",
    "bound_sockets",
    "connections",
    "find_listener",
    "waiting_to_be_accepted",
]

_DESCRIPTORS: Final = next(
    (path for path in ("/proc/self/fd", "/dev/fd") if Path(path).is_dir()), None
)
_INTERNET: Final = (socket.AF_INET, socket.AF_INET6)

# `struct tcp_info` of linux/tcp.h: eight bytes, then words of 32 bits.
_TCP_INFO: Final[int | None] = getattr(socket, "TCP_INFO", None)
_TCP_INFO_BYTES: Final = 104
_UNACKED: Final = 24
_LAST_DATA_RECEIVED: Final = 52


@final
@dataclass(frozen=True, slots=True)
class AcceptedConnection:
    """
    A connection of this process.

    Attributes:
        peer: The peer's address and port.
        silent_ms: Milliseconds since the peer sent anything.
    """

    peer: tuple[str, int]
    silent_ms: int
    _socket: socket.socket

    def shut_down(self) -> None:
        """End it in both directions; whoever reads or writes it is told."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)


@final
@dataclass(frozen=True, slots=True)
class Descriptor:
    """
    A descriptor of this process, with the inode that it leads to.

    A number alone may lead to something else by now.
    """

    number: int
    inode: int

    def close(self) -> None:
        """Close it, unless that was done."""
        with suppress(OSError):
            if os.fstat(self.number).st_ino == self.inode:
                os.close(self.number)


def bound_sockets(address: Any, but: socket.socket) -> list[Descriptor]:
    """
    Return the sockets that are bound at *address*, listening or not.

    Args:
        address: As for `find_listener`.
        but: As for `find_listener`.
    """
    own = os.fstat(but.fileno()).st_ino
    return [
        descriptor
        for found, descriptor in _internet_sockets()
        if descriptor.inode != own and found.getsockname()[:2] == address[:2]
    ]


def find_listener(address: Any, but: socket.socket) -> socket.socket | None:
    """
    Return a duplicate of the socket that listens at *address*, if there is one.

    Args:
        address: The address, as of ``getsockname``.
        but: A socket that listens there, too, and is not asked for.
    """
    own = os.fstat(but.fileno()).st_ino
    for found, descriptor in _internet_sockets():
        if descriptor.inode != own and _listens_at(found, address):
            return _duplicate(found.fileno())
    return None


def waiting_to_be_accepted(listener: socket.socket) -> int:
    """Return how many connections nobody has accepted; 0 where nobody can say."""
    return _word(listener, _UNACKED)


def connections(port: int) -> Iterator[AcceptedConnection]:
    """Yield the connections that were accepted at *port*, each until the next one."""
    for found, _ in _internet_sockets():
        with suppress(OSError):
            peer = found.getpeername()
            if found.getsockname()[1] == port:
                silent = _word(found, _LAST_DATA_RECEIVED)
                # Without the scope of a link-local address, as ASGI servers have it.
                host = peer[0].partition("%")[0]
                yield AcceptedConnection((host, peer[1]), silent, found)


def _internet_sockets() -> Iterator[tuple[socket.socket, Descriptor]]:
    """Yield duplicates of all sockets, and their own descriptors."""
    for name in os.listdir(_DESCRIPTORS) if _DESCRIPTORS else ():  # noqa: PTH208 - names
        duplicate = _duplicate(int(name))
        if duplicate is None:
            continue
        with closing(duplicate):
            if duplicate.family in _INTERNET:
                inode = os.fstat(duplicate.fileno()).st_ino
                yield duplicate, Descriptor(int(name), inode)


def _duplicate(descriptor: int) -> socket.socket | None:
    """Return a duplicate of a socket; None where there is none (any more)."""
    # Not `socket.dup`, which makes all duplicates block, also those of others.
    try:
        number = os.dup(descriptor)
    except OSError:
        return None
    try:
        return socket.socket(fileno=number)
    except OSError:
        os.close(number)
        return None


def _listens_at(found: socket.socket, address: Any) -> bool:
    accepts = found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    return bool(accepts) and found.getsockname()[:2] == address[:2]


def _word(found: socket.socket, offset: int) -> int:
    if _TCP_INFO is None:
        return 0
    info = found.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _TCP_INFO_BYTES)
    return int(struct.unpack_from("=I", info, offset)[0])
