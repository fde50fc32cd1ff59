"""`DeliveryQueue`: a few attempts of each receiver, and a place for who answers."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dp_core._outbox import Delivery
from dp_core.server._callbacks import _queue
from dp_core.server._callbacks._jobs import Job, Receiver
from dp_core.server._callbacks._queue import DeliveryQueue
from dp_core.server._callbacks._rules import pause_after
from dp_core.server._callbacks._sending import ATTEMPT_SECONDS
from dp_core.server._callbacks._shares import AT_ONCE, Standing

SEEN = datetime(2026, 11, 27, tzinfo=UTC)
ALL = AT_ONCE[Standing.QUICK]
HOUR = 3600.0


def job(host: str, id: str = "d", port: int = 443) -> Job:
    """Return a job of a receiver."""
    return Job(Delivery(id, "p", "https://example.com"), Receiver(host, port), SEEN)


def taken(schedule: DeliveryQueue, now: float) -> list[Job]:
    """Return all that may begin now."""
    jobs = []
    while (each := schedule.take(now)) is not None:
        jobs.append(each)
    return jobs


class Model:
    """
    A server without sockets: what it takes of a queue runs until its receiver's time.

    Args:
        quick: The hosts whose receivers answer, at once; others are silent.
    """

    def __init__(self, *quick: str) -> None:
        self.queue = DeliveryQueue()
        self.now = 1000.0
        self.quick = set(quick)
        self._running: list[tuple[float, int, Job]] = []
        self._numbers = count()

    def put(self, jobs: Iterable[Job]) -> None:
        for each in jobs:
            self.queue.put(each, self.now)

    def run(self, seconds: float) -> None:
        """Let time go by."""
        self._run_until(self.now + seconds, None)

    def wait_for(self, job: Job, at_most: float) -> float:
        """Put a job, and return the time until it begins."""
        begin = self.now
        self.put([job])
        self._run_until(begin + at_most, job)
        return self.now - begin

    def _run_until(self, end: float, wanted: Job | None) -> None:
        while True:
            while (job := self.queue.take(self.now)) is not None:
                takes = 0.1 if job.receiver.host in self.quick else ATTEMPT_SECONDS
                heapq.heappush(
                    self._running, (self.now + takes, next(self._numbers), job)
                )
                if job is wanted:
                    return
            pause = self.queue.pause(self.now)
            moments = [end] if pause is None else [end, self.now + pause]
            self.now = min([*moments, *(each[0] for each in self._running[:1])])
            if self.now >= end:
                return
            while self._running and self._running[0][0] <= self.now:
                job = heapq.heappop(self._running)[2]
                is_answered = job.receiver.host in self.quick
                if not is_answered:
                    job.failures += 1
                    self.queue.put(job, self.now + pause_after(job.failures))
                self.queue.done(job, self.now, is_answered=is_answered)


@pytest.mark.slow
def test_a_dead_host_holds_up_nobody() -> None:
    """Of 100,000 jobs of a host that is away few begin, and another host's at once."""
    schedule = DeliveryQueue()
    for _ in range(100_000):
        schedule.put(job("dead"), 0.0)
    begun = taken(schedule, 0.0)
    alive = job("alive")
    schedule.put(alive, 0.0)

    assert 4 == len(begun)
    assert [alive] == taken(schedule, 0.0)
    for each in begun:
        schedule.put(each, 1.0)
        schedule.done(each, 0.0, is_answered=False)
    # From then on one attempt a while asks whether it is back.
    now, attempts = 0.0, 0
    while now < 600:
        one = taken(schedule, now)
        assert len(one) <= 1
        for each in one:
            attempts += 1
            schedule.put(each, now + 3600)
            schedule.done(each, now, is_answered=False)
        now += 1
    assert attempts < 20


def test_a_host_that_is_back_has_its_places_back() -> None:
    """After an answer, whatever it says, a few go at a time again."""
    schedule = DeliveryQueue()
    for _ in range(10):
        schedule.put(job("a"), 0.0)
    first, *others = taken(schedule, 0.0)
    for each in (first, *others):
        schedule.done(each, 0.0, is_answered=False)
    (one,) = taken(schedule, 100.0)
    schedule.done(one, 100.0, is_answered=True)

    assert 4 == len(taken(schedule, 100.0))


def test_places_are_bounded() -> None:
    """However many receivers there are, there are so many attempts at once."""
    schedule = DeliveryQueue()
    for number in range(1000):
        schedule.put(job(str(number)), 0.0)

    new = taken(schedule, 0.0)
    for each in new:
        schedule.put(each, 0.0)
        schedule.done(each, 0.0, is_answered=True)
    begun = taken(schedule, 0.0)

    assert AT_ONCE[Standing.NEW] == len(new)
    assert ALL == len(begun)
    assert schedule.pause(0.0) is None
    schedule.done(begun[0], 0.0, is_answered=True)
    assert 0.0 == schedule.pause(0.0)


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("hosts", [1, 7])
def test_silent_ports_of_few_hosts_hold_up_no_other_host(
    hosts: int, known: bool
) -> None:
    """Fewer than eight hosts leave a place to each other one, with all their ports."""
    model = Model("good")
    silent = [
        job(f"silent{n % hosts}", str(n), port=n // hosts + 1) for n in range(5000)
    ]
    model.put(silent)
    model.run(0.0 if not known else HOUR)

    for _ in range(3):
        assert 0.0 == model.wait_for(job("good"), HOUR)
        model.run(60.0)


@pytest.mark.parametrize("after", [0.0, HOUR])
def test_silent_hosts_do_not_hold_up_who_has_answered(after: float) -> None:
    """However many they are, new or not, a quarter of the places is never theirs."""
    model = Model("good")
    assert 0.0 == model.wait_for(job("good"), HOUR)
    model.run(1.0)
    model.put(job(f"silent{n}", str(n)) for n in range(5000))
    model.run(after)

    for _ in range(3):
        assert 0.0 == model.wait_for(job("good"), HOUR)
        model.run(60.0)


def test_hosts_that_were_silent_do_not_hold_up_new_ones() -> None:
    """They share half of the places, so that a receiver can show what it is."""
    model = Model("good")
    model.put(job(f"silent{n}", str(n)) for n in range(5000))
    # Each of them was asked once.
    model.run(5000 / AT_ONCE[Standing.NEW] * ATTEMPT_SECONDS + 1)

    assert 0.0 == model.wait_for(job("good"), HOUR)


def test_slow_receivers_share_half_of_the_places() -> None:
    """Who takes long for an answer holds up quick ones as little as who has none."""
    schedule = DeliveryQueue()
    jobs = [job(str(n)) for n in range(ALL)]
    for each in jobs:
        schedule.put(each, 0.0)
    for each in taken(schedule, 0.0):
        schedule.put(each, 10.0)
        schedule.done(each, 10.0, is_answered=True)
    for each in taken(schedule, 1.0):
        schedule.done(each, 1.0, is_answered=True)

    assert AT_ONCE[Standing.SLOW] == len(taken(schedule, 10.0))


def test_quick_receivers_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many as there is room for: those that were asked last."""
    monkeypatch.setattr(_queue, "MOST_KNOWN", 2)
    model = Model("a", "b", "c")
    for host in ("a", "b", "a", "c"):
        model.wait_for(job(host), HOUR)
        model.run(1.0)
    model.put(job(f"silent{n}", str(n)) for n in range(100))
    model.run(1.0)

    assert 0.0 == model.wait_for(job("a"), 1.0)
    assert 0.0 == model.wait_for(job("c"), 1.0)
    assert 1.0 == model.wait_for(job("b"), 1.0)


def test_a_place_that_is_free_is_given() -> None:
    """Where a line gives up its turn, the next one of its host has it."""
    schedule = DeliveryQueue()
    jobs = [job("a", str(port), port) for port in range(8)]
    for each in jobs:
        schedule.put(each, 0.0)
    begun = taken(schedule, 0.0)
    schedule.done(begun[0], 0.0, is_answered=None)
    waiting = [each for each in jobs if each not in begun]
    # Whichever was let go first has something else to do.
    schedule.put(waiting[0], 50.0)

    assert [waiting[1]] == taken(schedule, 0.0)
    for each in begun[1:3]:
        schedule.done(each, 0.0, is_answered=None)
    assert [waiting[0]] == taken(schedule, 50.0)


def test_a_job_is_due_once() -> None:
    """What is put again is due at the new time, and not at the old one as well."""
    schedule = DeliveryQueue()
    one = job("a")
    schedule.put(one, 10.0)
    schedule.put(one, 5.0)

    assert 5.0 == schedule.pause(0.0)
    assert [one] == taken(schedule, 10.0)
    schedule.done(one, 10.0, is_answered=True)
    assert [] == taken(schedule, 20.0)
    assert schedule.pause(20.0) is None


def test_a_clock_that_was_set_back_delays_nothing() -> None:
    """What would be due in a year, since the clock was wrong, is due now."""
    schedule = DeliveryQueue()
    one = job("a")
    schedule.put(one, 365 * 86400.0)

    assert 0.0 == schedule.pause(0.0)
    assert [one] == taken(schedule, 0.0)


@pytest.mark.slow
@given(st.data())
def test_every_job_has_its_turn(data: st.DataObject) -> None:
    """Whatever hosts do, each job that is put comes, once, at its time or later."""
    schedule = DeliveryQueue()
    jobs = [
        job(data.draw(st.sampled_from("ab")), str(n), data.draw(st.integers(1, 20)))
        for n in range(24)
    ]
    times = st.integers(0, 3).map(float) | st.floats(0, 100)
    due = {each.delivery.id: data.draw(times) for each in jobs}
    for each in jobs:
        schedule.put(each, due[each.delivery.id])

    now = 0.0
    came: list[str] = []
    running: list[Job] = []
    for _ in range(1000):
        for each in taken(schedule, now):
            assert now >= due[each.delivery.id]
            came.append(each.delivery.id)
            running.append(each)
        waiting = [
            each
            for each in jobs
            if each.delivery.id not in came and due[each.delivery.id] > now
        ]
        if waiting and data.draw(st.booleans()):
            each = data.draw(st.sampled_from(waiting))
            due[each.delivery.id] = data.draw(times)
            schedule.put(each, due[each.delivery.id])
            continue
        pause = schedule.pause(now)
        if pause is None and not running:
            break
        if running and (pause is None or data.draw(st.booleans())):
            schedule.done(
                running.pop(data.draw(st.integers(0, len(running) - 1))),
                now,
                is_answered=data.draw(st.sampled_from([True, False, None])),
            )
        elif pause is not None:
            now += pause

    assert sorted(due) == sorted(came)
