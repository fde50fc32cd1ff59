"""
`Resolver`: names, looked up in a thread that nobody waits for.

A thread that the event loop owns is joined when the loop ends, so a name server
that does not answer would hold up a program that has long given up. A name is
therefore looked up in a thread that nobody joins, and by one at a time.
"""

from __future__ import annotations

import socket
from concurrent.futures import Future
from contextlib import suppress
from threading import Lock, Thread
from typing import Any, Final, TypeAlias, TypeVar

import anyio

__all__ = ["Address", "Resolver"]

T = TypeVar("T")

Address: TypeAlias = tuple[int, int, int, str, Any]
"""An address as `socket.getaddrinfo` lists it."""


_LITERAL: Final = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV


class Resolver:
    """Finds the addresses of one host, for all threads and event loops."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._lock = Lock()
        self._running: Future[list[Address]] | None = None

    async def addresses(self) -> list[Address]:
        """
        Return the addresses of the host, the best one first.

        Raises:
            OSError: There is none.
        """
        try:
            # An address needs no question to anybody.
            return self._look_up(_LITERAL)
        except socket.gaierror:
            return await _result(self._begin())

    def _begin(self) -> Future[list[Address]]:
        # Not for long: nobody waits for anything with this lock in hand.
        with self._lock:
            if self._running is None or self._running.done():
                self._running = Future()
                try:
                    Thread(target=self._run, args=(self._running,), daemon=True).start()
                except RuntimeError:
                    self._run(self._running)
            return self._running

    def _run(self, found: Future[list[Address]]) -> None:
        try:
            found.set_result(self._look_up())
        except Exception as error:  # noqa: BLE001 - raised by those who wait
            found.set_exception(error)

    def _look_up(self, flags: int = 0) -> list[Address]:
        return list(
            socket.getaddrinfo(
                self._host, self._port, type=socket.SOCK_STREAM, flags=flags
            )
        )


async def _result(future: Future[T]) -> T:
    """Wait for the result of another thread, in any event loop."""
    ours, theirs = socket.socketpair()

    def tell(_: object) -> None:
        with suppress(OSError):
            theirs.send(b"!")

    with ours, theirs:
        ours.settimeout(0)
        theirs.settimeout(0)
        future.add_done_callback(tell)
        await anyio.wait_readable(ours)
    return future.result()
