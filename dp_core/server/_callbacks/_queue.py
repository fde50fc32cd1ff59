"""
`DeliveryQueue`: deliveries to look at, by when; a few of a receiver at a time.

However many callbacks wait for receivers that are away, they take few of the places,
and one attempt in a while finds out whether one is back. docs/explanation/callbacks.md
says for how long others can be held up.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from dataclasses import dataclass, field
from itertools import count
from typing import Final, TypeAlias, final

from dp_core.server._callbacks._jobs import Job, Receiver
from dp_core.server._callbacks._rules import LONGEST_PAUSE, pause_after
from dp_core.server._callbacks._shares import (
    AT_ONCE,
    AT_ONCE_OF_A_HOST,
    Shares,
    Standing,
)

__all__ = ["DeliveryQueue"]

AT_ONCE_OF_A_RECEIVER: Final = 4
"""The most attempts at a time to one receiver; one while it does not answer."""

LONGEST_SILENCE: Final = 60.0
"""The longest time for which a receiver is left alone that does not answer, in s."""

QUICK_SECONDS: Final = 2.0
"""The longest time of an attempt whose receiver has answered soon."""

MOST_KNOWN: Final = 10_000
"""The number of quick receivers that are remembered, also while nothing is for them."""

_CLOCK_WAS_SET: Final = 2 * LONGEST_PAUSE
"""The time ahead at which nothing is planned: the clock was set back since."""


_Turn: TypeAlias = tuple[float, int, Receiver]
"""When a line has its turn, the number of the entry, and whose line it is."""


@final
@dataclass(eq=False, slots=True)
class _Host:
    """
    The lines of one host, at all of its ports.

    Attributes:
        shares: Its shares.
        lines: How many lines it has.
        full: The turns of lines that have come, and wait for a place of this host.
    """

    shares: Shares = field(default_factory=lambda: Shares(AT_ONCE_OF_A_HOST))
    lines: int = 0
    full: dict[Standing, list[_Turn]] = field(default_factory=dict)


@final
@dataclass(eq=False, slots=True)
class _Line:
    """
    The jobs of one receiver.

    Attributes:
        host: Its host.
        jobs: When each is due, the number of its entry, and the job.
        running: How many are being looked at.
        silences: How many attempts were not answered, one after the other.
        is_slow: Whether the last answer took long.
        not_before: When the next one may begin.
        turn: When it has its turn; None: it has none.
        standing: The standing by which it has that.
        entry: The entry of the turn, by number; others of it are void.
    """

    host: _Host
    jobs: list[tuple[float, int, Job]] = field(default_factory=list)
    running: int = 0
    silences: int = 0
    is_slow: bool = False
    not_before: float = 0.0
    turn: float | None = None
    standing: Standing = Standing.NEW
    entry: int = -1


def _is_due(when: float, now: float) -> bool:
    return not now < when <= now + _CLOCK_WAS_SET


@final
class DeliveryQueue:
    """The jobs of one server. Times are seconds by the clock of deadlines."""

    def __init__(self) -> None:
        self._lines: dict[Receiver, _Line] = {}
        self._hosts: dict[str, _Host] = {}
        self._quick: OrderedDict[Receiver, None] = OrderedDict()
        self._turns: dict[Standing, list[_Turn]] = {each: [] for each in Standing}
        self._numbers = count()
        self._shares = Shares(AT_ONCE)

    def put(self, job: Job, when: float) -> None:
        """Let a job be due at a time, and at no other."""
        job.entry = next(self._numbers)
        line = self._lines.get(job.receiver)
        if line is None:
            host = self._hosts.setdefault(job.receiver.host, _Host())
            host.lines += 1
            line = self._lines[job.receiver] = _Line(host)
        heapq.heappush(line.jobs, (when, job.entry, job))
        self._line_up(job.receiver, line)

    def take(self, now: float) -> Job | None:
        """Return a job that is due, and begin it; None if there is none, or no room."""
        while (standing := self._next()) is not None:
            turn = self._turns[standing][0]
            if not _is_due(turn[0], now):
                return None
            heapq.heappop(self._turns[standing])
            line = self._lines[turn[2]]
            if not line.host.shares.has_room(standing):
                heapq.heappush(line.host.full.setdefault(standing, []), turn)
                continue
            line.turn, line.entry = None, -1
            job = self._pop(line, now)
            if job is not None:
                job.is_running, job.began, job.place = True, now, standing
                line.running += 1
                line.host.shares.take(standing)
                self._shares.take(standing)
            self._line_up(turn[2], line)
            if job is not None:
                return job
        return None

    def done(self, job: Job, now: float, *, is_answered: bool | None) -> None:
        """
        End a job that was taken; it is due again only if it was put again before.

        Args:
            job: The job.
            now: The time.
            is_answered: Whether its receiver has answered; None if it was not asked.
        """
        job.is_running = False
        line = self._lines[job.receiver]
        line.running -= 1
        line.host.shares.leave(job.place)
        self._shares.leave(job.place)
        if is_answered is not None:
            self._judge(job, line, now, is_answered=is_answered)
        self._line_up(job.receiver, line)

    def pause(self, now: float) -> float | None:
        """Return the seconds until a job may be due; None if only a call changes it."""
        standing = self._next()
        if standing is None:
            return None
        turn = self._turns[standing][0][0]
        return 0.0 if _is_due(turn, now) else turn - now

    def _next(self) -> Standing | None:
        """Return the standing with room whose turn is the first, if there is one."""
        first: tuple[_Turn, Standing] | None = None
        for standing, turns in self._turns.items():
            if self._shares.has_room(standing):
                self._drop_void(turns)
                if turns and (first is None or turns[0] < first[0]):
                    first = turns[0], standing
        return None if first is None else first[1]

    def _drop_void(self, turns: list[_Turn]) -> None:
        while turns:
            _, number, receiver = turns[0]
            line = self._lines.get(receiver)
            if line is not None and line.entry == number:
                return
            heapq.heappop(turns)

    def _make_room(self, host: _Host) -> None:
        """Let lines have their turn that wait for a place which their host has free."""
        for standing, turns in host.full.items():
            self._drop_void(turns)
            if turns and host.shares.has_room(standing):
                heapq.heappush(self._turns[standing], heapq.heappop(turns))

    def _judge(self, job: Job, line: _Line, now: float, *, is_answered: bool) -> None:
        """Keep what an attempt says of a receiver."""
        line.is_slow = is_answered and now - job.began > QUICK_SECONDS
        if is_answered:
            line.silences, line.not_before = 0, 0.0
        else:
            line.silences += 1
            line.not_before = now + min(pause_after(line.silences), LONGEST_SILENCE)
        self._quick.pop(job.receiver, None)
        if is_answered and not line.is_slow:
            self._quick[job.receiver] = None
            if len(self._quick) > MOST_KNOWN:
                self._quick.popitem(last=False)

    def _standing(self, receiver: Receiver, line: _Line) -> Standing:
        if line.silences or line.is_slow:
            return Standing.SLOW
        return Standing.QUICK if receiver in self._quick else Standing.NEW

    def _pop(self, line: _Line, now: float) -> Job | None:
        while line.jobs:
            when, number, job = line.jobs[0]
            if number == job.entry and not _is_due(when, now):
                return None
            heapq.heappop(line.jobs)
            if number == job.entry:
                return job
        return None

    def _line_up(self, receiver: Receiver, line: _Line) -> None:
        """Let a line have its turn as soon as one of its jobs may begin."""
        while line.jobs and line.jobs[0][1] != line.jobs[0][2].entry:
            heapq.heappop(line.jobs)
        if line.running >= (1 if line.silences else AT_ONCE_OF_A_RECEIVER):
            line.turn, line.entry = None, -1
        elif not line.jobs:
            line.turn, line.entry = None, -1
            if not line.running:
                self._forget(receiver, line)
        else:
            turn = max(line.jobs[0][0], line.not_before)
            standing = self._standing(receiver, line)
            if (turn, standing) != (line.turn, line.standing):
                line.turn, line.standing = turn, standing
                line.entry = next(self._numbers)
                heapq.heappush(self._turns[standing], (turn, line.entry, receiver))
        # A place is free, or the line that it was kept for may have given up its turn.
        self._make_room(line.host)

    def _forget(self, receiver: Receiver, line: _Line) -> None:
        del self._lines[receiver]
        line.host.lines -= 1
        if not line.host.lines:
            del self._hosts[receiver.host]
