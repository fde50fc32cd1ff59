"""`ServerClock`: the time by the clock of a server, as far as it is known."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import final

from dp_core.backend import now

__all__ = ["ServerClock"]


@final
class ServerClock:
    """
    The clock of the server, which decides when deadlines are over.

    What it says comes with rows, and is carried on by a clock of this machine that
    nobody sets. It is behind by the way of an answer, never ahead: who sleeps until a
    deadline must not come too early, again and again.
    """

    def __init__(self) -> None:
        self._said: tuple[datetime, float] | None = None

    def says(self, moment: datetime) -> None:
        """Take what the server has just said."""
        self._said = moment, time.monotonic()

    def now(self) -> datetime:
        """Return the time; that of this machine until the server has said anything."""
        if self._said is None:
            return now()
        moment, at = self._said
        return moment + timedelta(seconds=time.monotonic() - at)
