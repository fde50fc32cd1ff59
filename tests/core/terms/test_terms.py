"""Terms, queries, and the rule of deadlines, without a store."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import dp_core as dp
from dp_core.backend import expiry

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


# Terms ------------------------------------------------------------------------


@given(st.datetimes(timezones=st.sampled_from([UTC, timezone(-9 * SECOND * 3600)])))
def test_a_deadline_is_utc_in_whole_milliseconds_and_never_early(
    moment: datetime,
) -> None:
    """A deadline is rounded up, so that nothing is over before its time."""
    try:
        deadline = dp.Terms(deadline=moment).deadline
    except dp.InvalidTermsError:
        assert moment.year in (1, 9999)
        return

    assert deadline is not None
    assert UTC is deadline.tzinfo
    assert 0 == deadline.microsecond % 1000
    assert timedelta() <= deadline - moment < timedelta(milliseconds=1)


def test_without_another_outcome_a_deadline_rejects() -> None:
    """The default is a rejection; without a deadline there is nothing to default."""
    assert dp.Rejected("deadline passed") == dp.Terms(deadline=NOON).otherwise
    assert dp.Terms().otherwise is None


@pytest.mark.parametrize(
    ("terms", "says"),
    [
        ({"deadline": datetime(2030, 1, 1)}, "no time zone"),  # noqa: DTZ001 - that is it
        ({"deadline": 5}, "write a timedelta from now"),
        ({"deadline": "2030-01-01"}, "write a timedelta from now"),
        (
            {"deadline": datetime.max.replace(tzinfo=timezone(-SECOND * 3600))},
            "within the years 1 to 9999",
        ),
        ({"otherwise": dp.Rejected("late")}, "'otherwise' is for after the deadline"),
        ({"deadline": NOON, "otherwise": "late"}, "not an outcome"),
        ({"deadline": NOON, "otherwise": dp.Pending()}, "not an outcome"),
        ({"tags": {f"k{n}": "" for n in range(33)}}, "33 tags"),
        ({"tags": ["a"]}, "a mapping of strings"),
        ({"tags": {"": "a"}}, "is empty"),
        ({"tags": {"a:b": "c"}}, "':', '=' or a control character"),
        ({"tags": {"a=b": "c"}}, "':', '=' or a control character"),
        ({"tags": {"a\nb": "c"}}, "':', '=' or a control character"),
        ({"tags": {"é" * 129: "c"}}, "258 bytes"),
        ({"tags": {"a": "é" * 129}}, "258 bytes"),
        ({"tags": {"a": "\0"}}, "NUL"),
        ({"tags": {"a": "\ud800"}}, "lone surrogate"),
        ({"tags": {"a": 1}}, "not a string"),
        ({"tags": {1: "a"}}, "not a string"),
    ],
)
def test_what_no_promise_can_have_is_refused(terms: dict[str, Any], says: str) -> None:
    """The error names what is wrong."""
    with pytest.raises(dp.InvalidTermsError, match=says):
        dp.Terms(**terms)


def test_the_limits_are_within_reach() -> None:
    """As many tags as are allowed, as long as they may be."""
    tags = {f"{n:0256}": "x" * 256 for n in range(32)}

    assert tags == dp.Terms(tags=tags).tags


def test_terms_do_not_change_with_what_they_were_made_of() -> None:
    """Tags are copied."""
    tags = {"kind": "approval"}
    terms = dp.Terms(tags=tags)
    tags["kind"] = "other"

    assert {"kind": "approval"} == terms.tags


def test_terms_travel() -> None:
    """Another process gets equal terms, and they can be in a set."""
    terms = dp.Terms(NOON, dp.Resolved([1]), {"a": "b"}, {"c": None}, within=SECOND)
    travelled = pickle.loads(pickle.dumps(terms))

    assert terms == travelled
    assert SECOND == travelled.within
    assert 1 == len({dp.Terms(NOON, tags={"a": "b"}), dp.Terms(NOON, tags={"a": "b"})})


def test_a_time_from_now_is_counted_by_the_clock_of_the_store() -> None:
    """What was asked for as a time from now stands as a moment."""
    asked = dp.Terms(deadline=NOON, within=SECOND)
    yesterday = NOON - timedelta(days=1)

    standing = asked.given_at(yesterday)

    assert yesterday + SECOND == standing.deadline
    assert standing.within is None
    assert standing is standing.given_at(NOON)
    with pytest.raises(dp.InvalidTermsError, match="years 1 to 9999"):
        asked.given_at(datetime.max.replace(tzinfo=UTC))


# Deadlines --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("after", "outcome"),
    [
        (-timedelta(microseconds=1), None),
        (timedelta(), dp.Rejected("late")),
        (SECOND, dp.Rejected("late")),
    ],
)
def test_a_deadline_is_over_from_its_moment_on(
    after: timedelta, outcome: dp.Outcome[Any] | None
) -> None:
    """The one rule: at the deadline it is over, and not before."""
    terms = dp.Terms(deadline=NOON, otherwise=dp.Rejected("late"))

    assert outcome == expiry(terms, NOON + after)


def test_without_a_deadline_nothing_is_ever_over() -> None:
    """Neither for terms without one, nor without terms."""
    late = datetime.max.replace(tzinfo=UTC)

    assert expiry(dp.Terms(), late) is None
    assert expiry(None, late) is None


# Who settled ------------------------------------------------------------------


def test_who_settled_is_no_part_of_an_outcome() -> None:
    """Outcomes are equal whoever said them, and a match has one part as before."""
    one, other = dp.Resolved(1, by="alice"), dp.Resolved(1, by="bob")

    assert one == other
    assert hash(one) == hash(other)
    assert "Resolved(value=1)" == repr(one)
    match one:
        case dp.Resolved(value):
            assert 1 == value


@pytest.mark.parametrize("kind", [dp.Resolved, dp.Rejected])
def test_the_machine_carries_who_settled(kind: Any) -> None:
    """The state after a settle has the name that its command has."""
    outcome = kind("x", by="alice")

    after = dp.transition(dp.Pending(), dp.settle_command(outcome))

    assert "alice" == after.by
    assert "alice" == dp.transition(after, dp.Resolve("y", by="bob")).by


# Queries ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({"state": "done"}, "'pending', 'resolved' or 'rejected'"),
        ({"prefix": 1}, "a prefix is a string"),
        ({"prefix": "\ud800"}, "lone surrogate"),
        ({"tags": {"a:b": "c"}}, "control character"),
        ({"tags": "a"}, "a mapping of strings"),
    ],
)
def test_a_query_that_finds_nothing_is_refused(
    query: dict[str, Any], says: str
) -> None:
    """The error says what to write."""
    with pytest.raises(dp.InvalidQueryError, match=says):
        dp.Query(**query)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, True),
        ({"state": "resolved"}, True),
        ({"state": "pending"}, False),
        ({"tags": {"a": "1"}}, True),
        ({"tags": {"a": "1", "b": "2"}}, True),
        ({"tags": {"a": "1", "c": "3"}}, False),
        ({"tags": {"a": "2"}}, False),
        ({"prefix": "order-"}, True),
        ({"prefix": "order-17x"}, False),
        ({"ids": ("order-17",)}, True),
        ({"ids": ("order-1",)}, False),
        ({"ids": ("x", "order-*")}, True),
        ({"ids": ()}, False),
        ({"prefix": "order-", "state": "rejected"}, False),
    ],
)
def test_a_promise_is_found_by_all_parts_of_a_query(
    query: dict[str, Any], found: bool
) -> None:
    """Each part that is given must fit."""
    terms = dp.Terms(tags={"a": "1", "b": "2"})
    info = dp.PromiseInfo("order-17", dp.Resolved(1), terms)

    assert found == dp.Query(**query).matches(info)
