"""The wire of our service on Restate, against the recording of the reference's."""

from __future__ import annotations

import json
from itertools import pairwise
from secrets import token_hex
from typing import Any, Final

import pytest

from support.restate import JSON, RestateServer, ask, eventually, pending_ask
from support.wire.recording import RECORDED

HELD: Final = "await pending holds the connection"

# Bad requests, for which the reference answers 500 and we say what is wrong.
BETTER: Final = {
    "reject without errorMessage": (400, "'errorMessage' is missing"),
    "missing promiseId": (400, "'promiseId' is missing"),
    "empty promiseId": (400, "invalid promise id ''"),
    "body is not JSON": (400, "the body is not a JSON value"),
    "the request that was awaiting when its promise was disposed": (
        410,
        "promise was disposed",
    ),
}


def requested(case: dict[str, Any], prefix: str) -> tuple[str, bytes, dict[str, str]]:
    """Return path, body and headers of a recorded request."""
    kind = case.get("request_content_type", "application/json")
    body = (case["request"] or "").replace("$", prefix).encode()
    path = case["path"].replace("$", prefix)
    return path, body, {"Content-Type": kind} if kind else {}


def recorded_answer(case: dict[str, Any]) -> tuple[int, str | None, Any]:
    """Return status, content type and decoded body."""
    response = case["response"]
    body = response["body"]
    return response["status"], response["content_type"], body and json.loads(body)


def test_every_answer_is_as_recorded(restate: RestateServer) -> None:
    """Answers are the reference's, but for bad requests, which get a better status."""
    prefix = token_hex(8)
    answers = {}

    for case, following in pairwise([*RECORDED, {"case": ""}]):
        name = case["case"]
        if name == HELD or name in answers:
            continue
        path, body, headers = requested(case, prefix)
        if "while another request awaits" not in name:
            answers[name] = ask(restate.node.ingress, path, body, headers)
            continue
        id = json.loads(body)["promiseId"]
        wait = {"promiseId": id}
        with pending_ask(restate.node.ingress, "/promise/await", wait) as waited:
            eventually(lambda: bool(restate.state(id)), "it waits")  # noqa: B023 - called before the next turn
            answers[name] = ask(restate.node.ingress, path, body, headers)
            answers[following["case"]] = waited()

    assert len(RECORDED) - 1 == len(answers)
    for case in RECORDED:
        if (answer := answers.get(case["case"])) is None:
            continue
        said = json.loads(answer.body) if answer.body else ""
        if case["case"] in BETTER:
            status, message = BETTER[case["case"]]
            assert (status, status) == (answer.status, said["code"]), case
            assert said["message"].startswith(message), case
        else:
            expected = recorded_answer(case)
            assert expected == (answer.status, answer.content_type, said), case


@pytest.mark.parametrize(
    "number", [b"12345678901234567890123", b"1.50", b"1E-7", b"-0", b"[1, 2]"]
)
def test_a_value_keeps_its_digits(restate: RestateServer, number: bytes) -> None:
    """The text of a number is unchanged, even of one that is not a double."""
    id = token_hex(8)
    body = b'{"promiseId": "%b", "value": %b}' % (id.encode(), number)

    won = ask(restate.node.ingress, "/promise/resolve", body)
    seen = ask(restate.node.ingress, f"/promises/{id}/peek")

    assert b'{"value":%b}' % number.replace(b" ", b"") == won.body == seen.body


@pytest.mark.parametrize(
    ("value", "status"),
    [
        (b"NaN", 400),
        (b'{"a": 1, "a": 2}', 400),
        (b'"\\ud800"', 422),
        (b"[" * 200 + b"]" * 200, 422),
        (b'"%b"' % (b"x" * 1024 * 1024), 422),
    ],
)
def test_an_invalid_value_is_refused(
    restate: RestateServer, value: bytes, status: int
) -> None:
    """A value that is not valid is refused by both, and the promise stays pending."""
    id = token_hex(8)
    body = b'{"promiseId": "%b", "value": %b}' % (id.encode(), value)

    in_body = ask(restate.node.ingress, "/promise/resolve", body)
    as_body = ask(restate.node.ingress, f"/promises/{id}/resolve", value)

    assert status == in_body.status
    assert as_body.status in (400, 422)
    assert b"null" == ask(restate.node.ingress, f"/promises/{id}/peek").body


def test_a_json_body_may_be_empty(restate: RestateServer) -> None:
    """Requests with JSON's content type and no body get the reference's answers."""
    id = token_hex(8)
    path = f"/promises/{id}"

    assert b"null" == ask(restate.node.ingress, f"{path}/peek", headers=JSON).body
    assert b"{}" == ask(restate.node.ingress, f"{path}/resolve", headers=JSON).body
    assert b"{}" == ask(restate.node.ingress, f"{path}/peek", headers=JSON).body


@pytest.mark.parametrize("operation", ["peek", "resolve", "reject", "dispose"])
@pytest.mark.parametrize(
    "id", ["%00", "a%00b", "x" * 1025, "%C3%A4" * 513, "%FF", "a%ED%A0%80", ""]
)
def test_an_invalid_id_in_the_path_is_refused(
    restate: RestateServer, operation: str, id: str
) -> None:
    """Whatever the operation, an id that no other form takes is answered by 400."""
    body = b"" if operation in {"peek", "dispose"} else '"text"'
    for prefix in ("", "/restate/call"):
        answer = ask(restate.node.ingress, f"{prefix}/promises/{id}/{operation}", body)

        assert 400 == answer.status, answer
        assert answer.json()["message"]


@pytest.mark.parametrize("id", ["x" * 1024, "%C3%A4" * 512, "%01", "%0A", "%2F%3F"])
def test_an_odd_id_in_the_path_is_taken(restate: RestateServer, id: str) -> None:
    """Ids at the edge of what is valid name promises."""
    assert 200 == ask(restate.node.ingress, f"/promises/{id}/peek").status
    assert 200 == ask(restate.node.ingress, f"/promises/{id}/resolve", 1).status


def test_peek_does_not_queue(restate: RestateServer) -> None:
    """Restate runs any number of peeks at once, also during a settle."""
    service = ask(restate.node.admin, "/v3/services/promises", method="GET").json()

    kinds = {handler["name"]: handler["ty"] for handler in service["handlers"]}
    assert "Shared" == kinds.pop("peek")
    # Nor do the invocations that wake waiters: they do not read the state.
    assert "Shared" == kinds.pop("wake")
    assert "Shared" == kinds.pop("info")
    assert {"Exclusive"} == set(kinds.values())


@pytest.mark.parametrize("operation", ["await", "forget"])
def test_only_handlers_bring_awakeables(restate: RestateServer, operation: str) -> None:
    """Requests from outside cannot name awakeables: wrong ones would break settles."""
    answer = ask(restate.node.ingress, f"/promises/{token_hex(8)}/{operation}", "any")

    assert 400 == answer.status
    assert b"not public" in answer.body


def test_the_state_of_the_reference_is_taken_over(restate: RestateServer) -> None:
    """Outcomes that the reference stored are read, and its waiters are woken."""
    kept, id = token_hex(8), token_hex(8)
    restate.set_state(kept, {"value": b'{"value":[1]}'})
    wait = {"promiseId": id}

    with pending_ask(restate.node.ingress, "/promise/await", wait) as waited:
        eventually(lambda: bool(restate.state(id)), "it waits")
        waiters = [key.removeprefix("waiter/") for key in restate.state(id)]
        restate.set_state(id, {"listeners": json.dumps(waiters).encode()})
        won = ask(restate.node.ingress, f"/promises/{id}/resolve", 7)

        assert {"value": 7} == won.json() == waited().json()
    assert {"value": 7} == restate.state(id)["value"]
    assert {"value": [1]} == ask(restate.node.ingress, f"/promises/{kept}/peek").json()
