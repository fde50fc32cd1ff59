"""
One question for everybody who has it.

Waiters of one id in one event loop share a long poll, here called a *flight*.
The first of them is its leader: it does the I/O in its own task, so that no
other task is needed and none is left over. A leader that leaves early hands
over to the next in line, together with the connection on which the question
stands, so the server does not even notice.

A waiter must not hear of a promise that was disposed of before it came, by
whomever. So only those share a question who were there before it was asked:
whoever comes after a flight has departed takes another one. Flights become
fewer again as they land without an outcome: instead of asking once more,
everybody changes to one that was asked after they had come, if there is any.
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
        departed: Since when nobody may join, by the clock of the event loop;
            None while everybody may.
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
    departed: float | None = None
    connection: Connection | None = None
    asked: float = 0.0
    key: str = field(default_factory=new_key)
    trouble: Trouble = field(default_factory=Trouble)
    seats: dict[Seat, None] = field(default_factory=dict)
    told: Told | None = None

    def hang_up(self) -> None:
        """Give the connection back; with an answer still to come, it is cut."""
        if self.connection is not None:
            self.pool.release(self.connection)
            self.connection = None


@dataclass(eq=False)
class Seat:
    """
    A waiter's place on a flight.

    Attributes:
        flight: Which one; it may change while the waiter sits there.
        called: When the waiter was told, or is the first in line.
    """

    flight: Flight
    called: anyio.Event = field(default_factory=anyio.Event)


class Flights:
    """The long polls of one handle, for all threads and event loops at once."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._flights: dict[str, set[Flight]] = {}

    async def join(
        self, id: str, lead: Callable[[Flight], Awaitable[Told | None]]
    ) -> Outcome[bytes]:
        """
        Return the outcome of a promise, asking for it unless somebody does.

        Args:
            id: The promise's id.
            lead: Asks, and returns what everybody is to be told; None when
                they have changed to another flight. What it raises instead
                concerns its caller only, and another waiter leads.

        Raises:
            DurablePromiseError: What everybody was told, or what *lead*
                raised.
        """
        seat = Seat(self._boarding(id))
        while (told := await self._sit(id, seat, lead)) is None:
            seat = Seat(seat.flight)
        if isinstance(told, DurablePromiseError):
            # Everybody gets an instance, and so a traceback, of its own.
            raise copy(told)
        return told

    def change(self, id: str, flight: Flight) -> bool:
        """
        Let all on *flight* change to another, and return whether there is one.

        What that one was asked after they had come, they may be told, too.
        """
        assert flight.departed is not None  # noqa: S101 - for the type checker
        others = [
            other
            for other in self._here(id)
            if other.connection is not None and other.asked > flight.departed
        ]
        if not others:
            return False
        latest = max(others, key=lambda other: other.asked)
        latest.departed = latest.asked
        latest.seats |= flight.seats
        for seat in flight.seats:
            seat.flight = latest
        self._remove(id, flight)
        return True

    async def _sit(
        self, id: str, seat: Seat, lead: Callable[[Flight], Awaitable[Told | None]]
    ) -> Told | None:
        """Wait, and lead when first in line, until told; None after a change."""
        leads = not seat.flight.seats
        seat.flight.seats[seat] = None
        try:
            if not leads:
                await seat.called.wait()
            flight = seat.flight
            if flight.told is None and (told := await lead(flight)) is not None:
                flight.told = told
                self._remove(id, flight)
                for other in flight.seats:
                    other.called.set()
            return flight.told
        finally:
            flight = seat.flight
            del flight.seats[seat]
            if flight.told is None:
                if flight.seats:
                    next(iter(flight.seats)).called.set()
                else:
                    self._remove(id, flight)
                    flight.hang_up()

    def _boarding(self, id: str) -> Flight:
        """Return a flight that may be joined."""
        for flight in self._here(id):
            if flight.departed is None:
                return flight
        flight = Flight(self._pool, current_token())
        self._flights.setdefault(id, set()).add(flight)
        return flight

    def _here(self, id: str) -> list[Flight]:
        """Return the flights for *id* in the running event loop."""
        token = current_token()
        return [f for f in tuple(self._flights.get(id, ())) if f.token == token]

    def _remove(self, id: str, flight: Flight) -> None:
        here = self._flights.get(id, set())
        here.discard(flight)
        if not here:
            self._flights.pop(id, None)
