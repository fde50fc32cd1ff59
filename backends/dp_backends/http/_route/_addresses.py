"""
`Addresses`: the addresses of a server, and which of them takes a connection.

A name has several addresses, and some may swallow what is sent to them: an IPv6 route
that ends nowhere, a machine that is gone. So the next one is tried a moment after the
one before it, and the first connection wins (RFC 8305, "Happy Eyeballs"). The address
that won is tried first from then on.

`anyio.connect_tcp` does the same, but what it makes is a stream that ends with its
event loop, it asks the resolver by a thread that the loop joins, and it forgets who
won. So this is ours, over plain sockets.
"""

from __future__ import annotations

import os
import socket
from itertools import zip_longest
from typing import Any, Final

import anyio

from dp_backends.http._route._resolver import Address, Resolver

__all__ = ["Addresses"]

_NEXT_SECONDS: Final = 0.25
"""Seconds to wait for one address before the next one is tried, too (RFC 8305 §5)."""

# A peer that vanished (power cut, cable, sleep) sends no FIN. The kernel finds
# out: it probes after 15 idle seconds, and ends a connection on which nothing is
# acknowledged for 5. Where a kernel has no such option, its name is missing.
_OPTIONS: Final = (
    ("SOL_SOCKET", "SO_KEEPALIVE", 1),
    ("IPPROTO_TCP", "TCP_NODELAY", 1),
    ("IPPROTO_TCP", "TCP_KEEPIDLE", 15),
    ("IPPROTO_TCP", "TCP_KEEPINTVL", 5),
    ("IPPROTO_TCP", "TCP_KEEPCNT", 2),
    ("IPPROTO_TCP", "TCP_USER_TIMEOUT", 5_000),
)


class Addresses:
    """The addresses of one server, for all threads and event loops."""

    def __init__(self, host: str, port: int) -> None:
        self._resolver = Resolver(host, port)
        self._winner: Address | None = None

    async def connect(self) -> socket.socket:
        """
        Return a connected socket.

        Raises:
            OSError: No address takes a connection.
        """
        found = _interleaved(await self._resolver.addresses())
        if self._winner in found:
            found.remove(self._winner)
            found.insert(0, self._winner)
        if len(found) == 1:
            return await _connect(found[0])
        race = _Race()
        async with anyio.create_task_group() as tasks:
            for address in found:
                lost = anyio.Event()
                tasks.start_soon(race.run, address, lost, tasks.cancel_scope)
                with anyio.move_on_after(_NEXT_SECONDS):
                    await lost.wait()
        if race.won is None:
            raise race.failure
        self._winner, sock = race.won
        return sock


def _interleaved(found: list[Address]) -> list[Address]:
    """Return addresses of alternating families, in the resolver's order (§4)."""
    addresses = list(dict.fromkeys(found))
    families = dict.fromkeys(address[0] for address in addresses)
    columns = [
        [address for address in addresses if address[0] == family]
        for family in families
    ]
    return [
        address
        for row in zip_longest(*columns)
        for address in row
        if address is not None
    ]


class _Race:
    """
    Attempts to connect, of which the first one wins.

    Attributes:
        won: The address that won, and its socket.
        failure: Why the one before the last failed to connect.
    """

    def __init__(self) -> None:
        self.won: tuple[Address, socket.socket] | None = None
        self.failure: OSError = OSError("the name has no address")

    async def run(
        self, address: Address, lost: anyio.Event, race: anyio.CancelScope
    ) -> None:
        try:
            sock = await _connect(address)
        except OSError as error:
            self.failure = error
            lost.set()
            return
        if self.won is None:
            self.won = address, sock
            race.cancel()
        else:
            sock.close()  # pragma: no cover - connected as the other one did


async def _connect(address: Address) -> socket.socket:
    family, kind, protocol, _, where = address
    sock = socket.socket(family, kind, protocol)
    try:
        await _establish(sock, where)
    except BaseException:
        sock.close()
        raise
    return sock


async def _establish(sock: socket.socket, where: Any) -> None:
    sock.settimeout(0)
    for level, name, value in _OPTIONS:
        if hasattr(socket, name):  # pragma: no branch - all of them are on Linux
            sock.setsockopt(getattr(socket, level), getattr(socket, name), value)
    try:
        sock.connect(where)
    except BlockingIOError:
        await anyio.wait_writable(sock)
    if code := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        raise OSError(code, os.strerror(code))
    if sock.getsockname() == sock.getpeername():
        # Nobody listens, and the kernel gave that port to our own end, which then
        # connected to itself (simultaneous open, RFC 9293 §3.5). That would also
        # keep the server from its port.
        raise ConnectionRefusedError
