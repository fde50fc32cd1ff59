"""
`LongPolls`: waiters of one id share a long poll.

The first waiter of a poll leads it: it does the I/O in its own task, so that no
other task is needed and none is left over. A leader that leaves early hands
over to the next in line, together with the connection on which the request
stands, so the server does not even notice.

A waiter may join a poll only before its request is sent; otherwise it could
hear of a disposal that happened before it came. Later waiters begin a poll of
their own. Polls become fewer again when they end without an outcome: instead of
asking once more, their waiters move to a poll that was sent after they had
come, if there is one.
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
from dp_backends.http._pool import Pool
from dp_backends.http._retry import Attempts
from dp_core import DurablePromiseError, Outcome

__all__ = ["LongPoll", "LongPolls", "PollResult", "new_key"]

PollResult: TypeAlias = Outcome[bytes] | DurablePromiseError


def new_key() -> str:
    """Return a key for a request that was not sent yet."""
    return token_hex(16)


@dataclass(eq=False)
class LongPoll:
    """
    A request that the server holds back until there is an outcome.

    Attributes:
        pool: Where its connection comes from.
        token: The event loop it belongs to.
        closed_at: Since when nobody may join, by the clock of the event loop;
            None while everybody may.
        connection: Where its answer will arrive, once it was asked.
        asked: When it was asked, by the clock of the event loop.
        key: What names this question to a server that can tell that it is the
            one that it has, asked again.
        attempts: What went wrong so far, whoever led.
        waiters: The waiters in the order they came; the first one leads.
        told: What came of it.
    """

    pool: Pool
    token: EventLoopToken
    closed_at: float | None = None
    connection: Connection | None = None
    asked: float = 0.0
    key: str = field(default_factory=new_key)
    attempts: Attempts = field(default_factory=Attempts)
    waiters: dict[PollWaiter, None] = field(default_factory=dict)
    told: PollResult | None = None

    def release(self) -> None:
        """Give the connection back; with an answer still to come, it is cut."""
        if self.connection is not None:
            self.pool.release(self.connection)
            self.connection = None


@dataclass(eq=False)
class PollWaiter:
    """
    A waiter's place on a poll.

    Attributes:
        poll: Which one; it may change while the waiter sits there.
        called: When the waiter was told, or is the first in line.
    """

    poll: LongPoll
    called: anyio.Event = field(default_factory=anyio.Event)


class LongPolls:
    """The long polls of one handle, for all threads and event loops at once."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._long_polls: dict[str, set[LongPoll]] = {}

    async def join(
        self, id: str, lead: Callable[[LongPoll], Awaitable[PollResult | None]]
    ) -> Outcome[bytes]:
        """
        Return the outcome of a promise, asking for it unless somebody does.

        Args:
            id: The promise's id.
            lead: Asks, and returns what everybody is to be told; None when
                they have changed to another poll. What it raises instead
                concerns its caller only, and another waiter leads.

        Raises:
            DurablePromiseError: What everybody was told, or what *lead*
                raised.
        """
        waiter = PollWaiter(self._joinable(id))
        while (told := await self._sit(id, waiter, lead)) is None:
            waiter = PollWaiter(waiter.poll)
        if isinstance(told, DurablePromiseError):
            # Everybody gets an instance, and so a traceback, of its own.
            raise copy(told)
        return told

    def change(self, id: str, poll: LongPoll) -> bool:
        """
        Let all on *poll* change to another, and return whether there is one.

        What that one was asked after they had come, they may be told, too.
        """
        assert poll.closed_at is not None  # noqa: S101 - for the type checker
        others = [
            other
            for other in self._here(id)
            if other.connection is not None and other.asked > poll.closed_at
        ]
        if not others:
            return False
        latest = max(others, key=lambda other: other.asked)
        latest.closed_at = latest.asked
        latest.waiters |= poll.waiters
        for waiter in poll.waiters:
            waiter.poll = latest
        self._remove(id, poll)
        return True

    async def _sit(
        self,
        id: str,
        waiter: PollWaiter,
        lead: Callable[[LongPoll], Awaitable[PollResult | None]],
    ) -> PollResult | None:
        """Wait, and lead when first in line, until told; None after a change."""
        leads = not waiter.poll.waiters
        waiter.poll.waiters[waiter] = None
        try:
            if not leads:
                await waiter.called.wait()
            poll = waiter.poll
            if poll.told is None and (told := await lead(poll)) is not None:
                poll.told = told
                self._remove(id, poll)
                for other in poll.waiters:
                    other.called.set()
            return poll.told
        finally:
            poll = waiter.poll
            del poll.waiters[waiter]
            if poll.told is None:
                if poll.waiters:
                    next(iter(poll.waiters)).called.set()
                else:
                    self._remove(id, poll)
                    poll.release()

    def _joinable(self, id: str) -> LongPoll:
        """Return a poll that may be joined."""
        for poll in self._here(id):
            if poll.closed_at is None:
                return poll
        poll = LongPoll(self._pool, current_token())
        self._long_polls.setdefault(id, set()).add(poll)
        return poll

    def _here(self, id: str) -> list[LongPoll]:
        """Return the polls for *id* in the running event loop."""
        token = current_token()
        return [f for f in tuple(self._long_polls.get(id, ())) if f.token == token]

    def _remove(self, id: str, poll: LongPoll) -> None:
        here = self._long_polls.get(id, set())
        here.discard(poll)
        if not here:
            self._long_polls.pop(id, None)
