"""`Waiters`: those who wait, by key, and what is left when they leave."""

from __future__ import annotations

from dp_core.backend import Waiters


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
