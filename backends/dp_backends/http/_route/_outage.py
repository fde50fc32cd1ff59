"""
`Outage`: one question at a time while a server is away.

When a server comes back, everybody who was cut off has something to ask it at the
same moment. So while it is away, the callers of one event loop stand in line: the
first one asks, again and again, and the others wait for its answer, each for as
long as it has time. When it was answered, all go on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from math import inf
from typing import Any

import anyio

from dp_backends.http._retry import AttemptFailed, Attempts, RetryBudget
from dp_core import BackendUnavailableError, DurablePromiseError
from dp_core.backend import Follower, LeaderFollowers, LoopLocal

__all__ = ["Outage", "Turn"]


class Turn:
    """
    One caller in line.

    Args:
        outage: What it waits for the end of.
        ask: Asks the server once.
        failed: Is told that it failed; raises if it is not to be asked again.
        budget: The caller's time.
        attempts: The caller's failed attempts so far.
        endless: Whether a caller without a deadline waits for ever.

    Attributes:
        answered: Whether it was the one to ask, and was answered.
    """

    def __init__(  # noqa: PLR0913 - one has a name
        self,
        outage: Outage,
        ask: Callable[[], Awaitable[Any]],
        failed: Callable[[AttemptFailed], None],
        budget: RetryBudget,
        attempts: Attempts,
        *,
        endless: bool = False,
    ) -> None:
        self.answered = False
        self._answer: Any = None
        self._outage = outage
        self._ask = ask
        self._failed = failed
        self._budget = budget
        self._attempts = attempts
        self._endless = endless
        self._scope = anyio.CancelScope()

    async def stand_in_line(self) -> None:
        """
        Return when the server was reached, by this caller or by another one.

        Raises:
            BackendError: It was not while there was time.
        """
        self._scope = anyio.CancelScope() if self._endless else self._budget.attempt()
        with self._scope:
            await Follower(self._outage.line.get(), self).join()
        if self._scope.cancelled_caught:
            if self._attempts.count:
                raise self._attempts.error()
            raise BackendUnavailableError(self._outage.reason)

    def answer(self) -> Any:
        """
        Return what it was answered.

        Raises:
            DurablePromiseError: That was the answer.
        """
        if isinstance(self._answer, DurablePromiseError):
            raise self._answer
        return self._answer

    async def lead(self, leader: Follower[Turn, None]) -> None:
        """Ask on behalf of all, and let them go on if the server was reached."""
        # How long this takes is a matter of the attempt, which knows what it sent.
        self._scope.deadline = inf
        if self._attempts.count:
            await self._budget.pause(self._attempts, endless=self._endless)
        try:
            try:
                self._answer = await self._ask()
            except AttemptFailed as failure:
                self._failed(failure)
                return
            finally:
                if not self._outage.away:
                    for caller in leader.group:
                        caller.set_result(None)
        except DurablePromiseError as error:
            self._answer = error
        self.answered = True
        leader.set_result(None)


async def _lead(leader: Follower[Turn, None]) -> None:
    await leader.request.lead(leader)


class Outage:
    """
    The times when a server is away, for all threads and event loops.

    Attributes:
        away: Whether it was not reached when it was asked last, or cut somebody off.
        failing: Whether it was not reached when it was asked last.
        reason: Why, in words for a person.
        line: Those who wait for it, in each event loop.
    """

    def __init__(self) -> None:
        self.away = False
        self.failing = False
        self.reason = "never asked"
        self.line: LoopLocal[LeaderFollowers[Turn, None]] = LoopLocal(
            lambda: LeaderFollowers(_lead)
        )

    def begin(self, reason: str) -> None:
        """Note that the server was not reached."""
        self.away = self.failing = True
        self.reason = reason

    def suspect(self) -> None:
        """Note that somebody was cut off who was waiting in silence."""
        self.away = True

    def end(self) -> None:
        """Note that the server has spoken."""
        self.away = self.failing = False
