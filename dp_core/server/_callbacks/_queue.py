"""
`DeliveryQueue`: deliveries to look at, by when; a few of a host at a time.

However many callbacks wait for a host that is away, they take few of the places, and
one attempt in a while finds out whether it is back.
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import Final, final

from dp_core._outbox import Delivery
from dp_core._states import Outcome
from dp_core.server._callbacks._rules import LONGEST_PAUSE, pause_after

__all__ = ["AT_ONCE", "DeliveryQueue", "Job"]

AT_ONCE: Final = 64
"""The most attempts at a time."""

AT_ONCE_OF_A_HOST: Final = 4
"""The most of them to one host; one while it does not answer."""

LONGEST_SILENCE: Final = 60.0
"""The longest time for which a host that does not answer is left alone, in seconds."""

_CLOCK_WAS_SET: Final = 2 * LONGEST_PAUSE
"""The time ahead at which nothing is planned: the clock was set back since."""


@final
@dataclass(eq=False, slots=True)
class Job:
    """
    A delivery that this server knows.

    Attributes:
        delivery: The delivery.
        host: The host that it is for.
        seen: Since when it is known here.
        failures: How many attempts have failed.
        was_named: Whether the terms of its promise have named it.
        outcome: What is still to be written to the store, after an attempt.
        is_running: Whether it is being looked at.
        is_told: Whether there was news while it was.
        entry: Its entry in the schedule, by number; others of it are void.
    """

    delivery: Delivery
    host: Hashable
    seen: datetime
    failures: int = 0
    was_named: bool = False
    outcome: Outcome[bytes] | None = None
    is_running: bool = False
    is_told: bool = False
    entry: int = -1


@final
@dataclass(eq=False, slots=True)
class _Line:
    """
    The jobs of one host.

    Attributes:
        jobs: When each is due, the number of its entry, and the job.
        running: How many are being looked at.
        silences: How many attempts were not answered, one after the other.
        not_before: When the next one may begin.
        turn: When it has its turn, as it is in the queue of lines; None: it is not.
    """

    jobs: list[tuple[float, int, Job]] = field(default_factory=list)
    running: int = 0
    silences: int = 0
    not_before: float = 0.0
    turn: float | None = None


@final
class DeliveryQueue:
    """The jobs of one server. Times are seconds by the clock of deadlines."""

    def __init__(self) -> None:
        self._lines: dict[Hashable, _Line] = {}
        self._turns: list[tuple[float, int, Hashable]] = []
        self._numbers = count()
        self._running = 0

    def put(self, job: Job, when: float) -> None:
        """Let a job be due at a time, and at no other."""
        job.entry = next(self._numbers)
        line = self._lines.setdefault(job.host, _Line())
        heapq.heappush(line.jobs, (when, job.entry, job))
        self._line_up(job.host, line)

    def take(self, now: float) -> Job | None:
        """Return a job that is due, and begin it; None if there is none, or no room."""
        while self._turns and self._running < AT_ONCE:
            turn, _, host = self._turns[0]
            if now < turn <= now + _CLOCK_WAS_SET:
                return None
            heapq.heappop(self._turns)
            line = self._lines.get(host)
            if line is None or line.turn != turn:
                continue
            line.turn = None
            job = self._pop(line, now)
            if job is not None:
                line.running += 1
                self._running += 1
                job.is_running = True
            self._line_up(host, line)
            if job is not None:
                return job
        return None

    def done(self, job: Job, now: float, *, is_answered: bool | None) -> None:
        """
        End a job that was taken; it is due again only if it was put again before.

        Args:
            job: The job.
            now: The time.
            is_answered: Whether its host has answered; None if it was not asked.
        """
        job.is_running = False
        self._running -= 1
        line = self._lines[job.host]
        line.running -= 1
        if is_answered:
            line.silences, line.not_before = 0, 0.0
        elif is_answered is not None:
            line.silences += 1
            pause = min(pause_after(line.silences), LONGEST_SILENCE)
            line.not_before = now + pause
        self._line_up(job.host, line)

    def pause(self, now: float) -> float | None:
        """Return the seconds until a job may be due; None if only a call changes it."""
        if not self._turns or self._running >= AT_ONCE:
            return None
        pause = self._turns[0][0] - now
        return 0.0 if pause > _CLOCK_WAS_SET else max(pause, 0.0)

    def _pop(self, line: _Line, now: float) -> Job | None:
        while line.jobs:
            when, number, job = line.jobs[0]
            if number == job.entry and now < when <= now + _CLOCK_WAS_SET:
                return None
            heapq.heappop(line.jobs)
            if number == job.entry:
                return job
        return None

    def _line_up(self, host: Hashable, line: _Line) -> None:
        """Let a line have its turn as soon as one of its jobs may begin."""
        while line.jobs and line.jobs[0][1] != line.jobs[0][2].entry:
            heapq.heappop(line.jobs)
        if line.running >= (1 if line.silences else AT_ONCE_OF_A_HOST):
            line.turn = None
        elif not line.jobs:
            line.turn = None
            if not line.running:
                del self._lines[host]
        else:
            turn = max(line.jobs[0][0], line.not_before)
            if turn != line.turn:
                line.turn = turn
                heapq.heappush(self._turns, (turn, next(self._numbers), host))
