"""`Waiters`: those who wait, by key, and what is left when they leave."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from dp_core.backend import Deadlines, Waiters


def test_those_of_a_key_come_in_their_order() -> None:
    """One, several and none are told alike, and one that is added twice counts once."""
    waiters: Waiters[str, object] = Waiters()
    a, b, c = object(), object(), object()
    for waiter in (a, a, b, c, b):
        waiters.add("x", waiter)
    waiters.add("y", b)

    assert ((a, b, c), (b,), ()) == tuple(waiters.of(key) for key in "xyz")
    assert (2, ["x", "y"], [a, b, c, b]) == (
        len(waiters),
        list(waiters),
        waiters.all(),
    )


def test_a_key_without_waiters_is_gone() -> None:
    """Who leaves last takes the key along; a stranger and who left before do not."""
    waiters: Waiters[str, object] = Waiters()
    a, b, c = object(), object(), object()
    for waiter in (a, b):
        waiters.add("x", waiter)
    left = [waiters.discard("x", waiter) for waiter in (c, a, a, b, b)]

    assert [False, False, False, True, True] == left
    assert not waiters
    waiters.add("x", a)
    assert not waiters.discard("x", b)
    assert "x" in waiters
    assert ((a,), ()) == (waiters.pop("x"), waiters.pop("x"))
    assert "x" not in waiters


def test_all_may_be_forgotten_at_once() -> None:
    """As the child of a fork does with those who wait in its parent."""
    waiters: Waiters[str, object] = Waiters()
    waiters.add("x", object())
    waiters.add("y", object())
    waiters.clear()

    assert (0, [], ()) == (len(waiters), waiters.all(), waiters.of("x"))


def test_deadlines_that_were_replaced_take_no_room() -> None:
    """Whoever changes a deadline for ever costs no memory, and loses no deadline."""
    deadlines: Deadlines[str] = Deadlines()
    noon = datetime(2026, 3, 4, 12, tzinfo=UTC)
    for number in range(5_000):
        deadlines.set("often", noon + timedelta(seconds=number))
        deadlines.set("gone", noon)
        deadlines.set("gone", None)
    deadlines.set("once", noon)

    assert len(deadlines._heap) < 2_000
    assert ["once"] == deadlines.take_over(noon)
    assert ["often"] == deadlines.take_over(noon + timedelta(hours=2))
    assert not deadlines
