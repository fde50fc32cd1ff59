"""`DeliveryQueue`: a few attempts of each host, and none waits for another host."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from dp_core._outbox import Delivery
from dp_core.server._callbacks._queue import AT_ONCE, DeliveryQueue, Job

SEEN = datetime(2026, 11, 27, tzinfo=UTC)


def job(host: str, id: str = "d") -> Job:
    """Return a job of a host."""
    return Job(Delivery(id, "p", "https://example.com"), host, SEEN)


def taken(schedule: DeliveryQueue, now: float) -> list[Job]:
    """Return all that may begin now."""
    jobs = []
    while (each := schedule.take(now)) is not None:
        jobs.append(each)
    return jobs


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
    """However many hosts there are, there are so many attempts at once."""
    schedule = DeliveryQueue()
    for number in range(1000):
        schedule.put(job(str(number)), 0.0)

    begun = taken(schedule, 0.0)

    assert AT_ONCE == len(begun)
    assert schedule.pause(0.0) is None
    schedule.done(begun[0], 0.0, is_answered=True)
    assert 0.0 == schedule.pause(0.0)


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


@given(st.data())
def test_every_job_has_its_turn(data: st.DataObject) -> None:
    """Whatever hosts do, each job that is put comes, once, at its time or later."""
    schedule = DeliveryQueue()
    jobs = [job(data.draw(st.sampled_from("abc")), str(n)) for n in range(20)]
    due = {each.delivery.id: data.draw(st.floats(0, 100)) for each in jobs}
    for each in jobs:
        schedule.put(each, due[each.delivery.id])

    now, came = 0.0, []
    for _ in range(1000):
        for each in taken(schedule, now):
            assert now >= due[each.delivery.id]
            came.append(each.delivery.id)
            schedule.done(
                each, now, is_answered=data.draw(st.sampled_from([True, False, None]))
            )
        pause = schedule.pause(now)
        if pause is None:
            break
        now += pause

    assert sorted(due) == sorted(came)
