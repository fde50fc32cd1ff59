"""Rules of callbacks: which deliveries count, what answers mean, when to repeat."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

import dp_core as dp
from dp_core._outbox import terms_of_delivery
from dp_core.server._callbacks._rules import (
    LONGEST_PAUSE,
    Answer,
    DeliveryState,
    ended_by,
    is_given_up,
    judge,
    pause_after,
)

NOW = datetime(2026, 11, 27, tzinfo=UTC)
HOUR = timedelta(hours=1)
URL = "https://example.com/hook"

times = st.integers(0, 10**6).map(lambda s: NOW - timedelta(seconds=s))
states = st.sampled_from([dp.Pending(), dp.Resolved(b"1"), dp.Rejected("no")])


def delivery(
    state: dp.State[bytes] = dp.Pending(),  # noqa: B008 - frozen
    created_at: datetime = NOW,
    *,
    is_there: bool = True,
) -> dp.PromiseInfo[bytes]:
    """Return the delivery d1 of the promise p."""
    terms = terms_of_delivery("p", URL) if is_there else None
    return dp.PromiseInfo("d1", state, terms, created_at)


def promise(
    state: dp.State[bytes], *named: str, is_there: bool = True
) -> dp.PromiseInfo[bytes]:
    """Return the promise p, whose terms name these deliveries."""
    callbacks = tuple(dp.Callback(f"{URL}/{id}", id) for id in named)
    return dp.PromiseInfo("p", state, dp.Terms(notify=callbacks) if is_there else None)


@given(states, times, times, st.booleans(), st.booleans(), states, st.booleans())
def test_only_what_standing_terms_name_is_delivered(
    state: dp.State[bytes],
    created: datetime,
    seen: datetime,
    was_named: bool,
    is_named: bool,
    own: dp.State[bytes],
    is_there: bool,
) -> None:
    """One is due if it is pending, named, and its promise settled; else it never is."""
    verdict = judge(
        delivery(own, created, is_there=is_there),
        promise(state, *(["d1"] if is_named else ["d2"])),
        NOW,
        seen,
        was_named=was_named,
    )

    is_open = is_there and own == dp.Pending()
    is_settled = state != dp.Pending()
    assert (is_open and is_named and is_settled) == (verdict is DeliveryState.DUE)
    assert (is_open and is_named and not is_settled) == (
        verdict is DeliveryState.TO_COME
    )
    assert (not is_open) == (verdict is DeliveryState.OVER)


@given(times, times)
def test_a_slow_creator_has_an_hour(created: datetime, seen: datetime) -> None:
    """What no terms name, or have named, is given up after an hour, and not before."""
    verdict = judge(
        delivery(created_at=created),
        promise(dp.Pending(), is_there=False),
        NOW,
        seen,
        was_named=False,
    )

    is_old = NOW - min(created, seen) >= HOUR and NOW - seen >= timedelta(seconds=10)
    assert (DeliveryState.NOT_ASKED_FOR if is_old else DeliveryState.UNNAMED) is verdict


def test_what_was_named_is_given_up_at_once() -> None:
    """Terms never change: if they name it no more, its promise was disposed of."""
    verdict = judge(delivery(), promise(dp.Pending(), "d2"), NOW, NOW, was_named=True)

    assert verdict is DeliveryState.NOT_ASKED_FOR


def test_a_delivery_of_no_promise_was_not_asked_for() -> None:
    """Whoever writes the tag alone is answered as whoever names a promise falsely."""
    old = NOW - 2 * HOUR

    verdict = judge(delivery(created_at=old), None, NOW, old, was_named=False)

    assert verdict is DeliveryState.NOT_ASKED_FOR


@pytest.mark.parametrize("status", [100, 199, 300, 302, 404, 409, 429, 500, 503])
def test_other_answers_are_tried_again(status: int) -> None:
    """Nothing but a success or 410 ends a delivery, no answer either."""
    assert ended_by(Answer(status)) is None
    assert ended_by(Answer(None, "cut")) is None


@pytest.mark.parametrize("status", [200, 202, 204, 299])
def test_a_success_ends_it(status: int) -> None:
    """Any 2xx is one; the delivery keeps which."""
    assert dp.Resolved(b'{"status":%d}' % status) == ended_by(Answer(status))


def test_gone_ends_it() -> None:
    """With 410 a receiver asks for no more."""
    assert isinstance(ended_by(Answer(410)), dp.Rejected)


@given(st.integers(1, 10_000))
def test_pauses_double_up_to_an_hour(failures: int) -> None:
    """They are 1, 2, 4 … seconds, and never longer than an hour."""
    assert min(2 ** (failures - 1), LONGEST_PAUSE) == pause_after(failures)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120),
        (" 120 ", 120),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90),
        (format_datetime((NOW + timedelta(seconds=90)).replace(tzinfo=None)), 90),
        ("0", 4),
        ("3", 4),
        ("-5", 4),
        ("86400", LONGEST_PAUSE),
        ("9" * 5000, LONGEST_PAUSE),
        (format_datetime(NOW + timedelta(days=9), usegmt=True), LONGEST_PAUSE),
        (format_datetime(NOW - timedelta(days=9), usegmt=True), 4),
        ("soon", 4),
        ("", 4),
        ("٣٣٣", 4),
        ("Fri, 99 Nov 2026 00:00:00 GMT", 4),
    ],
)
def test_retry_after_is_honoured(text: str, seconds: float) -> None:
    """Both forms make a pause longer, up to an hour; what is not valid does not."""
    assert seconds == pause_after(3, Answer(503, retry_after=text), NOW)


@given(times, times)
def test_it_is_tried_for_three_days(settled: datetime, seen: datetime) -> None:
    """It ends three days after the settle, but no server gives up in its first hour."""
    over = is_given_up(settled, seen, NOW)

    begin = min(settled, seen)
    assert over == (NOW - begin >= timedelta(days=3) and NOW - seen >= HOUR)


def test_a_settler_with_a_wrong_clock_changes_little() -> None:
    """What is said to be settled in a hundred years is tried for three days, too."""
    later = NOW + timedelta(days=36500)

    assert not is_given_up(later, NOW, NOW + timedelta(days=2.9))
    assert is_given_up(later, NOW, NOW + timedelta(days=3))
    assert is_given_up(None, NOW, NOW + timedelta(days=3))
