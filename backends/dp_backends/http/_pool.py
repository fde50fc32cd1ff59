"""
`Pool`: the connections of one handle, kept for the next request.

Connections are plain sockets, so one pool serves all threads and event loops
of the process, and closing an idle one needs no loop. A pool that is never
closed closes its sockets when it is garbage-collected, without a
ResourceWarning. A forked child drops them: two processes on one connection
would read each other's responses.
"""

from __future__ import annotations

import os
import ssl
import time
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from typing import Final
from weakref import WeakSet, finalize

from dp_backends.http._connection import Connection, open_connection
from dp_backends.http._retry import AttemptFailed
from dp_backends.http._route import Addresses, NoTrustError, make_context
from dp_backends.http._url import ServerUrl
from dp_core import BackendClosedError
from dp_core.backend import in_thread

__all__ = ["Pool"]

MAX_IDLE: Final = 100
"""The most idle connections to keep; the oldest is closed first."""

AT_REST: Final = 32
"""As many idle connections may be kept by who does nothing; while others are in use,
as many as these."""

IDLE_SECONDS: Final = 30.0
"""The age of an idle connection at which the next use of the pool closes it. Nothing
runs for a pool that is not used."""


class Pool:
    """Connections to one server, for all threads and event loops at once."""

    def __init__(self, url: ServerUrl) -> None:
        self._url = url
        self._addresses = Addresses(url.host, url.port)
        self._context: ssl.SSLContext | None = None
        self._closed = False
        # No locks: one append, pop, add or discard is atomic.
        self._idle: deque[Connection] = deque()
        self._busy: set[Connection] = set()
        finalize(self, _close_all, self._idle, ())
        # Not at exit: daemon threads still wait there, and others get the numbers.
        finalize(self, _close_all, deque(), self._busy).atexit = False
        _POOLS.add(self)

    async def send(self, request: bytes, *, fresh: bool = False) -> Connection:
        """
        Send a request and return the connection to receive the response from.

        Args:
            request: What to send.
            fresh: Whether to make a new connection for it.

        Raises:
            AttemptFailed: Not sent.
            BackendClosedError: The pool was closed.
        """
        self.check_open()
        connection = self._take()
        if connection is not None and fresh:
            # A new one in its place: what is idle does not become more.
            connection.close()
            connection = None
        if connection is None:
            connection = await self._open()
        self._busy.add(connection)
        try:
            self.check_open()
            await connection.send(request)
        except BaseException:
            self._drop(connection)
            raise
        return connection

    def release(self, connection: Connection) -> None:
        """Keep a connection for the next request, or close it if it is not clean."""
        # Only where nobody waited for the response.
        connection.report(cancelled=True)
        if not connection.clean:
            self._drop(connection)
            return
        self._busy.discard(connection)
        connection.idle_since = time.monotonic()
        self._idle.append(connection)
        # A server has a descriptor for each, and a burst is over when it is.
        keep = min(max(len(self._busy), AT_REST), MAX_IDLE)
        if len(self._idle) > keep or self._closed:
            _close_all(self._idle, (), keep=0 if self._closed else keep)
        self._close_old(connection.idle_since - IDLE_SECONDS)

    def _close_old(self, before: float) -> None:
        # The one that was used last is used next, so the others grow old.
        with suppress(IndexError):
            while self._idle[0].idle_since < before:
                self._idle.popleft().close()

    def close(self) -> None:
        """Close idle connections, and end those in use, of any thread."""
        self._closed = True
        _close_all(self._idle, ())
        for connection in tuple(self._busy):
            connection.interrupt()

    def stats(self) -> tuple[int, int]:
        """Return how many connections are in use, and how many idle ones are open."""
        return len(self._busy), sum(not idle.is_stale() for idle in tuple(self._idle))

    def check_open(self) -> None:
        """Raise `BackendClosedError` if the pool was closed."""
        if self._closed:
            raise BackendClosedError("this handle was closed; connect() again")

    def disown(self) -> None:
        """Close our copies of the connections that our parent process uses."""
        _close_all(self._idle, self._busy)
        self._busy.clear()

    def _take(self) -> Connection | None:
        """Return the idle connection that was used last and is still open."""
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            if not connection.is_stale():
                return connection
            connection.close()

    def _drop(self, connection: Connection) -> None:
        connection.close()
        self._busy.discard(connection)
        if connection.cut:
            # A restart, or a host that is gone, has ended the idle ones, too, and
            # finding out can take seconds for each.
            _close_all(self._idle, ())

    async def _open(self) -> Connection:
        old = self._context is not None
        while True:
            context = await self._tls()
            try:
                return await open_connection(self._url, self._addresses, context)
            except AttemptFailed as failure:
                if not failure.final:
                    raise
                # Whom to trust is read again: an authority may have been replaced.
                self._context = None
                if not old:
                    raise
                old = False

    async def _tls(self) -> ssl.SSLContext | None:
        if self._url.secure and self._context is None:
            try:
                self._context = await in_thread(make_context)
            except NoTrustError as error:
                raise AttemptFailed(
                    f"{self._url} cannot be trusted: {error.reason}", final=True
                ) from None
        return self._context


def _close_all(
    idle: deque[Connection], busy: Iterable[Connection], *, keep: int = 0
) -> None:
    while len(idle) > keep:
        try:
            idle.popleft().close()
        except IndexError:  # pragma: no cover - another thread has taken it
            break
    for connection in busy:
        connection.close()


_POOLS: Final[WeakSet[Pool]] = WeakSet()


def _disown_all() -> None:
    for pool in _POOLS:
        pool.disown()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_disown_all)
