"""Terms on Restate: kept by the object, and deadlines by the engine."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from secrets import token_hex
from typing import Any

import pytest

import dp_core as dp
from dp_backends.http import HttpBackend
from dp_backends.restate._object._deadline import at_deadline_text, how_far_ahead
from dp_backends.restate._object._stored import created_text
from support.restate import RestateServer, ask, eventually, pending_ask

LATE = {"error": "too late"}


def post(restate: RestateServer, operation: str, id: str, **members: Any) -> Any:
    """Ask the service for an operation; return the content of its answer."""
    body = {"promiseId": id, **members}
    answer = ask(restate.node.ingress, f"/promise/{operation}", body)
    assert 200 == answer.status, answer
    return answer.json() if answer.body else None


def delayed_calls(restate: RestateServer, id: str) -> list[Any]:
    """Return the calls that the engine is to make at deadlines of a promise."""
    return restate.query(
        "SELECT id FROM sys_invocation "  # noqa: S608 - our own test data
        f"WHERE target = 'promises/{id}/expire' AND status <> 'completed'"
    )


def test_a_deadline_settles_with_nobody_there(restate: RestateServer) -> None:
    """The engine calls at the deadline: nobody waits, and nobody asks."""
    id = token_hex(8)
    post(restate, "create", id, deadline=0.3, otherwise=LATE)

    eventually(lambda: "value" in restate.state(id), "the engine has settled it")
    state = restate.state(id)
    assert LATE == state["value"]
    assert state["settled"]["expired"]
    eventually(lambda: not delayed_calls(restate, id), "nothing is left to be done")


def test_waiters_and_terms_are_kept_beside_each_other(restate: RestateServer) -> None:
    """A settle clears the waiters, and the terms stay; who settles is known."""
    id = token_hex(8)
    post(restate, "create", id, deadline=3600, tags={"k": "v"}, data=[1])
    with pending_ask(restate.node.ingress, "/promise/await", {"promiseId": id}) as told:
        eventually(lambda: restate.waiters(id) == 1, "it waits")
        post(restate, "resolve", id, value={"a": 1}, by="älice")
        assert {"value": {"a": 1}} == told().json()

    info = post(restate, "info", id)
    assert ({"k": "v"}, [1], "älice") == (info["tags"], info["data"], info["settledBy"])
    assert ("resolved", {"a": 1}, False) == (
        info["state"],
        info["value"],
        info["expired"],
    )
    assert {"value", "settled", "terms"} == set(restate.state(id))


def test_who_settles_may_settle_with_any_value(restate: RestateServer) -> None:
    """A value that reads like a rejection is a value."""
    id = token_hex(8)
    value = {"errorMessage": "none"}

    assert {"value": value} == post(restate, "resolve", id, value=value, by="alice")
    assert "alice" == post(restate, "info", id)["settledBy"]


def test_a_deadline_of_a_former_generation_harms_nobody(
    restate: RestateServer,
) -> None:
    """What is disposed of and made again has its own deadline."""
    id = token_hex(8)
    post(restate, "create", id, deadline=0.2, otherwise=LATE)
    post(restate, "dispose", id)
    assert {} == restate.state(id)
    post(restate, "create", id, deadline=3600)
    eventually(
        lambda: 1 == len(delayed_calls(restate, id)), "the first call has been made"
    )
    assert None is post(restate, "peek", id)


def test_the_clock_of_the_service_decides(restate: RestateServer) -> None:
    """A deadline in the past settles at once, whoever asks first, and stays."""
    for operation in ("peek", "resolve", "await", "info"):
        id = token_hex(8)
        long_ago = datetime.now(UTC) - timedelta(days=1)
        post(restate, "create", id, deadline=long_ago.isoformat(), otherwise=LATE)
        answer = post(restate, operation, id)
        assert LATE == {"error": answer["error"]}
        assert LATE == post(restate, "peek", id)


def test_whoever_comes_after_a_deadline_settles(restate: RestateServer) -> None:
    """Where Restate's own call at the deadline is late, or is not there at all."""
    moment = datetime.now(UTC) - timedelta(days=1)
    terms = dp.Terms(moment + timedelta(hours=1), dp.Resolved(b'"by default"'))
    default = {"value": "by default"}
    for operation in ("peek", "info"):
        id = token_hex(8)
        restate.set_state(id, {"terms": created_text(id, terms, moment)})
        answer = post(restate, operation, id)
        assert default == {"value": answer["value"]}
        assert default == restate.state(id)["value"]
    assert ("resolved", True) == (answer["state"], answer["expired"])


def test_terms_that_are_damaged_are_an_error_with_a_way_out(
    restate: RestateServer,
) -> None:
    """What is kept under their name is not what this service writes."""
    id = token_hex(8)
    restate.set_state(id, {"terms": b"nonsense"})
    for operation in ("peek", "info"):
        answer = ask(restate.node.ingress, f"/promise/{operation}", {"promiseId": id})
        assert 500 == answer.status
        assert b"is damaged" in answer.body
        assert b"dispose of it" in answer.body
    post(restate, "dispose", id)
    assert "pending" == post(restate, "info", id)["state"]


def test_of_what_the_reference_settled_nobody_knows_when(
    restate: RestateServer,
) -> None:
    """Its service keeps the outcome only, and so do older versions of this one."""
    id = token_hex(8)
    restate.set_state(id, {"value": b'{"value":[1]}'})

    info = post(restate, "info", id)

    assert ("resolved", [1]) == (info["state"], info["value"])
    assert not {"settledAt", "settledBy"} & {k for k, v in info.items() if v}


def test_what_cannot_be_terms_is_a_bad_request(restate: RestateServer) -> None:
    """By a status that clients know, and without retries; nothing is made."""
    id = token_hex(8)
    for status, members in (
        (422, {"notify": ["https://example.com/told"]}),
        (422, {"deadline": "tomorrow"}),
        (422, {"otherwise": {"value": 1}}),
        (400, {"colour": "red"}),
    ):
        body = {"promiseId": id, **members}
        answer = ask(restate.node.ingress, "/promise/create", body)
        assert status == answer.status
    assert {} == restate.state(id)


@pytest.mark.anyio
async def test_a_listing_says_that_there_is_none(restate: RestateServer) -> None:
    """The ingress of Restate has no such path, and the error says what it means."""
    with pytest.raises(dp.NotSupportedError, match="no list of its promises"):
        await HttpBackend(restate.url).list(dp.Query(), None, 10)


# Clocks that differ --------------------------------------------------------------

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
