"""
`Ear`: what a process hears of one store, by one listening session of the server.

It is opened when somebody waits, in a thread of its own, which then ends. At rest there
is the socket, and one waiter of one event loop that waits for it: when something
arrives, this one lets all others look as well, each in its own event loop. So a socket
is never watched by two, and is closed when nobody watches it.

A pooler may take a ``LISTEN`` and never say anything. So after each connect the session
that works rings once, as after a commit; what is not heard then is not going to be.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Hashable, Iterable
from contextlib import suppress
from threading import Lock, Thread
from typing import Final, final
from weakref import WeakSet, WeakValueDictionary, ref

import anyio
import psycopg
from psycopg import Connection

from dp_backends.sql._sessions import Failure
from dp_backends.sql._waits import Heard

__all__ = ["Ear", "EarListener", "join", "leave"]

_log: Final = logging.getLogger(__name__)

_HEARING: Final = (1.0, 5.0)
"""First and longest pause between looks where changes are heard, in seconds."""

_DEAF: Final = (0.02, 0.5)
"""The same where they are not."""

_PROOF: Final = 3.0
"""Seconds in which the ring that proves it is heard, if any ever is."""

_AGAIN: Final = 60.0
"""Seconds after which to try again where nothing was heard."""

_FAILING: Final = (0.1, 5.0)
"""First and longest pause after a connect that failed, in seconds."""


@final
class Ear:
    """
    The listening session of one store, shared by all handles and event loops.

    Attributes:
        users: The number of its handles.
        count: How often something was heard.

    Args:
        location: The store.
        connect: Returns a connection that listens; raises `Failure`.
    """

    def __init__(self, location: str, connect: Callable[[], Connection]) -> None:
        self.users = self.count = 0
        self._location = location
        self._connect = connect
        self._listeners: WeakSet[EarListener] = WeakSet()
        self._is_closed = False
        self._was_said = False
        self._begin()
        _EARS.add(self)

    def _begin(self) -> None:
        """Hear nothing, as after a fork."""
        self._lock = Lock()
        self._connection: Connection | None = None
        self._old: list[Connection] = []
        self._is_connecting = False
        self._connect_at = 0.0
        self._failures = 0
        self._reader: ref[EarListener] | None = None
        self._asked_at: float | None = None
        self._hears = False

    @property
    def pauses(self) -> tuple[float, float]:
        """First and longest pause between looks, in seconds."""
        return _HEARING if self._hears else _DEAF

    # Hearing ----------------------------------------------------------------

    def read(self) -> int:
        """Return how often something was heard; never waits."""
        with self._lock:
            # Where another one waits for it, that one reads.
            if self._connection is not None and self._reading() is None:
                self._consume(self._connection)
            return self.count

    def _consume(self, connection: Connection) -> None:
        try:
            connection.pgconn.consume_input()
            heard = connection.pgconn.notifies()
        except psycopg.Error:
            self._lose()
            return
        if heard is not None:
            while connection.pgconn.notifies() is not None:
                pass
            self.count += 1
            self._hears, self._asked_at, self._failures = True, None, 0
        elif self._asked_at is not None and self._asked_at < time.monotonic() - _PROOF:
            self._lose(_AGAIN)
            if not self._was_said:
                self._was_said = True
                _log.warning(
                    "%s: notifications do not arrive here; is there a pooler in "
                    "transaction mode in between? Who waits looks every half second "
                    "instead",
                    self._location,
                )

    def wants_ring(self) -> bool:
        """Tell whether to ring, for a proof that it is heard; True only once."""
        with self._lock:
            if self._connection is None or self._hears or self._asked_at is not None:
                return False
            self._asked_at = time.monotonic()
            return True

    def claim(self, listener: EarListener) -> int | None:
        """Return the descriptor to wait for; None for who has to wait for a ring."""
        with self._lock:
            if self._connection is None:
                self._connect_soon()
            elif self._reading() is None:
                self._reader = ref(listener)
                return self._connection.fileno()
            return None

    def release(self, listener: EarListener) -> None:
        """Let somebody else wait for the descriptor, and look at what has come."""
        with self._lock:
            self._reader = None
            self._drop_old()
            others = [other for other in self._listeners if other is not listener]
        _ring(others)

    def _reading(self) -> EarListener | None:
        return None if self._reader is None else self._reader()

    # Connecting -------------------------------------------------------------

    def _connect_soon(self) -> None:
        if self._is_connecting or self._is_closed:
            return
        if time.monotonic() < self._connect_at:
            return
        self._is_connecting = True
        thread = Thread(target=self._run, name="dp-sql-listen", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            # A limit of processes, or the interpreter is at its end.
            self._is_connecting = False
            self._connect_at = time.monotonic() + _FAILING[1]

    def _run(self) -> None:
        connection: Connection | None = None
        try:
            with suppress(Failure):
                connection = self._connect()
        finally:
            self._connected(connection)

    def _connected(self, connection: Connection | None) -> None:
        with self._lock:
            self._is_connecting = False
            if connection is None:
                first, longest = _FAILING
                pause = min(longest, first * 2.0 ** min(self._failures, 30))
                self._failures += 1
                self._connect_at = time.monotonic() + pause
                return
            if self._is_closed:
                connection.close()
                return
            self._connection = connection
            self._asked_at = None
            # What happened before is heard of by nobody, so it has to be looked for.
            self.count += 1
            listeners = list(self._listeners)
        _ring(listeners)

    def _lose(self, pause: float = 0.0) -> None:
        """Be without a connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._old.append(connection)
        self._hears, self._asked_at = False, None
        self._connect_at = time.monotonic() + pause
        self.count += 1
        if self._reading() is None:
            self._drop_old()

    def _drop_old(self) -> None:
        while self._old:
            with suppress(psycopg.Error):
                self._old.pop().close()

    # Listeners --------------------------------------------------------------

    def add(self, listener: EarListener) -> None:
        """Let one know what is heard."""
        with self._lock:
            self._listeners.add(listener)

    def close(self) -> None:
        """Hear no more."""
        with self._lock:
            self._is_closed = True
            self._lose()
            listeners = list(self._listeners)
        _ring(listeners)

    def after_fork_in_child(self) -> None:
        """Begin anew; what is the parent's is not touched."""
        _PARENTS.extend(c for c in (self._connection, *self._old) if c is not None)
        self._begin()


@final
class EarListener:
    """
    One event loop that hears by an ear, see `Listener`.

    Args:
        ear: The ear.
        ring: Ends the wait of this one; called by any thread.
    """

    pause = None

    def __init__(self, ear: Ear, ring: Callable[[], None]) -> None:
        self.ring = ring
        self._ear = ear
        self._heard = ear.count
        ear.add(self)

    @property
    def pauses(self) -> tuple[float, float]:
        return self._ear.pauses

    def read(self) -> Heard:
        before, self._heard = self._heard, self._ear.read()
        return Heard.NOTHING if before == self._heard else Heard.RUNG

    async def wait(self) -> None:
        fd = self._ear.claim(self)
        if fd is None:
            await anyio.sleep_forever()
            return
        try:
            await anyio.wait_readable(fd)
        finally:
            self._ear.release(self)

    def close(self) -> None:
        pass


def _ring(listeners: Iterable[EarListener]) -> None:
    for listener in listeners:
        listener.ring()


# Sharing ----------------------------------------------------------------------

_SHARED: Final[WeakValueDictionary[Hashable, Ear]] = WeakValueDictionary()
_SHARING: Final = Lock()


def join(key: Hashable, make: Callable[[], Ear]) -> Ear:
    """Return the ear of one store, for one more handle; makes the first."""
    with _SHARING:
        ear = _SHARED.get(key)
        if ear is None or not ear.users:
            _SHARED[key] = ear = make()
        ear.users += 1
        return ear


def leave(ear: Ear) -> None:
    """Close an ear after its last handle; this is one less."""
    with _SHARING:
        ear.users -= 1
        is_over = not ear.users
    if is_over:
        ear.close()


# Forks ------------------------------------------------------------------------

_EARS: Final[WeakSet[Ear]] = WeakSet()
_PARENTS: Final[list[Connection]] = []
"""Connections of the parent of this process, which are not to be closed here."""


def _after_in_child() -> None:
    _SHARING.release()
    for ear in tuple(_EARS):
        ear.after_fork_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_SHARING.acquire,
        after_in_parent=_SHARING.release,
        after_in_child=_after_in_child,
    )
