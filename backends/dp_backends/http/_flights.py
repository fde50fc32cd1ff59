"""
One question for everybody who has it.

All waiters of one id in one event loop share one long poll. The first of them
is its leader: it does the I/O in its own task, so that no other task is needed
and none is left over. A leader that leaves early hands over to the next in
line, together with the connection on which the question stands, so the server
does not even notice.

A waiter must not hear of a promise that was disposed of before it came, by
whomever. So only those share a question who were there before it was asked:
whoever comes after it has departed starts afresh.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from copy import copy
from dataclasses import dataclass, field
from secrets import token_hex
from typing import TypeAlias

import anyio
from anyio.lowlevel import EventLoopToken, current_token

from dp_backends.http._connection import Connection
from dp_backends.http._patience import Trouble
from dp_backends.http._pool import Pool
from dp_core import DurablePromiseError, Outcome

__all__ = ["Flight", "Flights", "Told", "new_key"]

Told: TypeAlias = Outcome[bytes] | DurablePromiseError


def new_key() -> str:
    """Return what names a question that was not asked yet."""
    return token_hex(16)


@dataclass(eq=False)
class Flight:
    """
    A long poll under way.

    Attributes:
        pool: Where its connection comes from.
        token: The event loop it belongs to.
        departed: Whether its question was asked, so that nobody may join.
        connection: Where its answer will arrive, once it was asked.
        asked: When it was asked, by the clock of the event loop.
        key: What names this question to a server that can tell that it is the
            one that it has, asked again.
        trouble: What went wrong so far, whoever led.
        seats: The waiters in the order they came; the first one leads.
        told: What came of it.
    """

    pool: Pool
    token: EventLoopToken
    departed: bool = False
    connection: Connection | None = None
    asked: float = 0.0
    key: str = field(default_factory=new_key)
    trouble: Trouble = field(default_factory=Trouble)
    seats: dict[anyio.Event, None] = field(default_factory=dict)
    told: Told | None = None

    def hang_up(self) -> None:
        """Give the connection back; with an answer still to come, it is cut."""
        if self.connection is not None:
            self.pool.release(self.connection)
            self.connection = None


class Flights:
    """The long polls of one handle, for all threads and event loops at once."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._flights: dict[str, set[Flight]] = {}

    async def join(
        self, id: str, lead: Callable[[Flight], Awaitable[Told]]
    ) -> Outcome[bytes]:
        """
        Return the outcome of a promise, asking for it unless somebody does.

        Args:
            id: The promise's id.
            lead: Asks, and returns what everybody is to be told. What it
                raises instead concerns its caller only, and another waiter
                leads.

        Raises:
            DurablePromiseError: What everybody was told, or what *lead*
                raised.
        """
        token = current_token()
        here = self._flights.setdefault(id, set())
        boarding = (f for f in tuple(here) if f.token == token and not f.departed)
        flight = next(boarding, None)
        if flight is None:
            flight = Flight(self._pool, token)
            here.add(flight)
        seat = anyio.Event()
        leads = not flight.seats
        flight.seats[seat] = None
        try:
            if not leads:
                await seat.wait()
            if flight.told is None:
                flight.told = await lead(flight)
                self._remove(id, flight)
                for other in flight.seats:
                    other.set()
        finally:
            del flight.seats[seat]
            if flight.told is None:
                if flight.seats:
                    next(iter(flight.seats)).set()
                else:
                    self._remove(id, flight)
                    flight.hang_up()
        if isinstance(flight.told, DurablePromiseError):
            # Everybody gets an instance, and so a traceback, of its own.
            raise copy(flight.told)
        return flight.told

    def _remove(self, id: str, flight: Flight) -> None:
        here = self._flights.get(id, set())
        here.discard(flight)
        if not here:
            self._flights.pop(id, None)
