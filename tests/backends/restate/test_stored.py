"""Calls at deadlines, where the clocks of Restate and of its service differ."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from dp_backends.restate._stored import at_deadline_text, how_far_ahead

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
MS = timedelta(milliseconds=1)


def calls(left: timedelta, differ: timedelta) -> tuple[int, timedelta]:
    """
    Return how many calls Restate makes for one deadline, and how late the last is.

    Args:
        left: How far away the deadline is at first.
        differ: By how much Restate's clock is ahead of ours.
    """
    deadline, moment, ahead, number = NOON + left, NOON, timedelta(), 0
    while moment < deadline:
        body = at_deadline_text(deadline, moment, ahead)
        # Restate takes the moment from us, and its own clock reads another one.
        moment = max(moment, deadline + ahead - differ) + MS
        told = how_far_ahead(body, deadline, moment)
        assert told is not None
        ahead, number = told, number + 1
    return number, moment - deadline


@pytest.mark.parametrize("left", [timedelta(seconds=2), timedelta(days=3)])
@pytest.mark.parametrize(
    "differ", [timedelta(), 3 * MS, timedelta(seconds=7), timedelta(hours=1)]
)
def test_clocks_that_differ_cost_few_calls(left: timedelta, differ: timedelta) -> None:
    """A call that is too early says by how much, so it is not made again at once."""
    number, late = calls(left, differ)

    assert number <= (2 if differ < left else 200)
    assert late <= max(2 * MS, differ / 20 + timedelta(seconds=1))


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b'["x", "y", 1]', b'["x", 1, NaN]', b"[[[", b"\xff"]
)
def test_a_strangers_call_asks_for_no_other(body: bytes) -> None:
    """Nor does one that was made for the deadline of a former generation."""
    assert None is how_far_ahead(body, NOON, NOON)
    other = at_deadline_text(NOON + MS, NOON, timedelta())
    assert None is how_far_ahead(other, NOON, NOON)
