"""
`RetryBudget` and `Attempts`: how long to repeat a request, and how often.

A caller's deadline (`anyio.fail_after`, ``get(timeout=...)``) is the limit; for
callers without one, ``retry`` of the store URL is. Pauses grow and are random
("full jitter"), so that a thousand clients of a server that restarts do not
come back at the same moment.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from random import uniform
from typing import Final

import anyio

from dp_core import BackendError, BackendUnavailableError, OutcomeUnknownError

__all__ = ["AttemptFailed", "Attempts", "RetryBudget"]

_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 2.0
_LONGEST_RETRY_AFTER: Final = 5.0


class AttemptFailed(Exception):  # noqa: N818 - always caught here, not an error yet
    """
    One attempt failed, and another one may succeed.

    Attributes:
        reason: What failed, where, and what to do, in words for a person.
        sent: Whether the server may have got the whole request, and so may
            have done what it asks for.
        retry_after: When the server wants to be asked again, in seconds.
        reached: Whether the server itself says so, and so is not away.
        final: Whether no other attempt will succeed, as far as one can tell
            where the server has never answered.
        refused: Whether nobody listens there.
    """

    def __init__(  # noqa: PLR0913 - all but one have names
        self,
        reason: str,
        *,
        sent: bool = False,
        retry_after: float = 0.0,
        reached: bool = False,
        final: bool = False,
        refused: bool = False,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.sent = sent
        self.retry_after = retry_after
        self.reached = reached
        self.final = final
        self.refused = refused


@dataclass(slots=True)
class Attempts:
    """
    The failed attempts of one call so far.

    Attributes:
        advice: What to do when it is not known whether the call took effect;
            None for a call that changes nothing.
        count: How many attempts in a row have failed.
        unknown: Whether one of them may have taken effect.
    """

    advice: str | None = None
    count: int = 0
    unknown: bool = False
    _last: AttemptFailed | None = None

    def add(self, failure: AttemptFailed) -> None:
        self.count += 1
        self._last = failure
        self.unknown |= failure.sent and self.advice is not None

    def clear(self) -> None:
        self.count = 0

    @property
    def reason(self) -> str:
        """Why the last one failed, in words for a person."""
        return self._last.reason if self._last else "never asked"

    def error(self) -> BackendError:
        """Return the error to raise when there is no further attempt."""
        if self.unknown:
            return OutcomeUnknownError(f"{self.reason}; {self.advice}")
        return BackendUnavailableError(self.reason)

    def pause(self) -> float:
        """Return how long to wait before the next attempt, in seconds."""
        asked = self._last.retry_after if self._last else 0.0
        longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(self.count, 30))
        return min(asked, _LONGEST_RETRY_AFTER) + uniform(0, longest)  # noqa: S311 - no secret


class RetryBudget:
    """The time that one caller gives, from now on, to all attempts together."""

    __slots__ = ("_ends",)

    def __init__(self, seconds: float) -> None:
        self._ends = anyio.current_time() + seconds

    def ends(self) -> float:
        """Return when an attempt has to end: never by itself beside a deadline."""
        return self._ends if anyio.current_effective_deadline() == inf else inf

    def attempt(self) -> anyio.CancelScope:
        """Return the bounds of one attempt."""
        return anyio.CancelScope(deadline=self.ends())

    async def pause(self, attempts: Attempts, *, endless: bool = False) -> None:
        """
        Wait until it is time for the next attempt.

        Args:
            attempts: The attempts so far.
            endless: Whether a caller without a deadline waits for ever.

        Raises:
            BackendError: There is no time for another attempt.
        """
        ends = anyio.current_effective_deadline()
        if ends == inf and not endless:
            ends = self._ends
        seconds = attempts.pause()
        # In a cancelled scope the deadline is -inf: the sleep raises the
        # cancellation, which must not be replaced by our error.
        if -inf < ends <= anyio.current_time() + seconds:
            raise attempts.error()
        await anyio.sleep(seconds)
