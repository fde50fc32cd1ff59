"""
`LongPolls`: one request for all waiters of a promise that came together.

A waiter may join a poll only before its request is sent; otherwise it could
hear of a disposal that happened before it came. Later waiters begin a poll of
their own. Polls become fewer again when they end without an outcome: instead of
asking once more, their waiters move to a poll that was sent after they had
come, if there is one.
"""

from __future__ import annotations

import anyio

from dp_backends.http._calling import WireClient
from dp_backends.http._retry import RetryBudget
from dp_backends.http._waits._long_poll import LongPoll, Polls, Waiter
from dp_core import (
    BackendUnavailableError,
    Outcome,
    Pending,
    State,
)
from dp_core.backend import Follower, LoopLocal

__all__ = ["LongPolls"]


class LongPolls:
    """The long polls of one handle, for all threads and event loops."""

    def __init__(self, client: WireClient) -> None:
        self._client = client
        self._here: LoopLocal[dict[str, Polls]] = LoopLocal(dict)

    async def wait(self, id: str) -> Outcome[bytes]:
        """
        Return the outcome of a promise, once there is one.

        Raises:
            DurablePromiseError: The promise was disposed of, or the server cannot
                be asked.
        """
        return await self._wait(id, Waiter(RetryBudget(self._client.url.retry)))

    async def wait_for(self, id: str, seconds: float) -> State[bytes]:
        """
        Return the state of a promise after so many seconds, or once it has an outcome.

        Raises:
            BackendUnavailableError: Nobody said that it is pending, or the server
                was away in the end.
            DurablePromiseError: As for `wait`.
        """
        url, outage = self._client.url, self._client.outage
        waiter = Waiter(RetryBudget(url.retry), timed=True)
        with anyio.move_on_after(seconds):
            return await self._wait(id, waiter)
        if waiter.told and not outage.failing:
            return Pending()
        reason = f"no answer from {url} in {seconds:g} s"
        if outage.failing:
            reason += f"; the last attempt: {outage.reason}"
        raise BackendUnavailableError(reason)

    async def _wait(self, id: str, waiting: Waiter) -> Outcome[bytes]:
        here = self._here.get()
        polls = here.setdefault(id, {})
        # Only the newest poll can be one that was not sent yet.
        newest = next(reversed(polls.values()), None)
        if newest is None or newest.is_closed:
            newest = LongPoll(self._client, id, polls)
            polls[newest.waiters] = newest
        waiter = Follower(newest.waiters, waiting)
        try:
            return await waiter.join()
        finally:
            # Found no more if another of its waiters has left after the last.
            if not len(waiter.group) and (poll := polls.pop(waiter.group, None)):
                poll.close()
                if not polls:
                    del here[id]

    def are(self, number: int) -> bool:
        """Tell whether there are so many polls."""
        here = self._here.get()
        return len(here) >= number or sum(map(len, here.values())) >= number

    def stats(self) -> tuple[int, int, int]:
        """Return how many waiters, polls, and requests under way are here."""
        here = self._all()
        waiters = sum(len(poll.waiters) for poll in here)
        return waiters, len(here), sum(poll.is_sent for poll in here)

    def known(self) -> int:
        """Return of how many waiters the server knows."""
        return sum(len(poll.waiters) for poll in self._all() if poll.is_sent)

    def _all(self) -> list[LongPoll]:
        return [poll for polls in self._here.get().values() for poll in polls.values()]
