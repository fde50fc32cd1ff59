"""Durable promises inside handlers, and handlers whose process is killed."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from pathlib import Path
from secrets import token_bytes, token_hex
from typing import Any

import pytest

from support.paths import EXAMPLES
from support.restate import (
    HttpAnswer,
    RestateServer,
    ServiceProcess,
    ask,
    eventually,
    pending_ask,
)

HERE = Path(__file__).parent
EXAMPLE_4 = EXAMPLES / "example4.py"


@pytest.fixture(scope="module")
def steps(restate: RestateServer) -> Iterator[ServiceProcess]:
    """Host the handlers of handlers.py."""
    service = ServiceProcess.of_program(HERE / "programs" / "handlers.py", restate)
    service.start()
    yield service
    service.stop()


@pytest.fixture
def killed(steps: ServiceProcess) -> ServiceProcess:
    """Host the handlers anew: a process that is killed does not say what it ran."""
    steps.stop()
    steps.start()
    return steps


@pytest.fixture
def qna(restate: RestateServer) -> Iterator[ServiceProcess]:
    """Host example 4."""
    service = ServiceProcess.of_program(EXAMPLE_4, restate)
    service.start()
    yield service
    service.stop()


def resolve(restate: RestateServer, id: str, value: Any) -> HttpAnswer:
    """Resolve a promise from outside of Restate."""
    return ask(restate.node.ingress, f"/promises/{id}/resolve", value)


def test_each_operation_is_a_step(
    restate: RestateServer, steps: ServiceProcess
) -> None:
    """Operations in a handler do and return the same as everywhere."""
    answer = ask(restate.node.ingress, "/steps/all_of_them", token_hex(8))

    won = {"value": [1, "two"]}
    expected = [None, won, won, won, [1, "two"], None, None, {"error": "no"}]
    assert expected == answer.json()


def test_a_handler_hears_all_that_is_known(
    restate: RestateServer, steps: ServiceProcess
) -> None:
    """Its terms, and who has settled it: who said so first, in a handler, too."""
    id = token_hex(8)
    created = {"promiseId": id, "tags": {"kind": "t"}}
    assert 200 == ask(restate.node.ingress, "/promise/create", created).status
    known = ask(restate.node.ingress, "/steps/known", id).json()
    elsewhere = ask(restate.node.ingress, "/promise/info", {"promiseId": id}).json()

    tags = {"kind": "t"}
    assert [[None, None, tags], [{"value": "yes"}, "alice", tags]] == known
    assert ("yes", "alice") == (elsewhere["value"], elsewhere["settledBy"])


@pytest.mark.parametrize(
    ("asked", "state", "status", "message"),
    [
        ({}, {"error": "we are closed"}, 500, "we are closed"),
        ({"timeout": 0.1}, None, 500, "still pending after 0.1 s"),
        ({"type": "int"}, {"value": "text"}, 422, "is not a valid int"),
        ({"id": ""}, None, 400, "it is empty"),
    ],
)
def test_what_is_not_caught_ends_the_invocation(
    restate: RestateServer,
    steps: ServiceProcess,
    asked: dict[str, Any],
    state: Any,
    status: int,
    message: str,
) -> None:
    """An error that is not caught fails the invocation with its text, without retry."""
    id = token_hex(8)
    match state:
        case {"error": error}:
            ask(restate.node.ingress, f"/promises/{id}/reject", error)
        case {"value": value}:
            resolve(restate, id, value)

    answer = ask(restate.node.ingress, "/steps/get", {"id": id, **asked})

    assert status == answer.status
    assert message in answer.json()["message"]


def test_what_is_caught_is_one_of_our_errors(
    restate: RestateServer, steps: ServiceProcess
) -> None:
    """Handlers catch the errors of other clients, also of a dispose while they wait."""
    rejected, disposed, pending = (token_hex(8) for _ in range(3))
    ask(restate.node.ingress, f"/promises/{rejected}/reject", "no")

    def caught(**asked: Any) -> Any:
        return ask(restate.node.ingress, "/steps/caught", asked).json()

    assert "PromiseRejectedError" == caught(id=rejected)
    assert "PromiseTimeoutError" == caught(id=pending, timeout=0.1)
    eventually(lambda: not restate.state(pending), "its waiter is forgotten")
    body = {"id": disposed}
    with pending_ask(restate.node.ingress, "/steps/caught", body) as waiting:
        eventually(lambda: restate.waiters(disposed) > 0, "it waits")
        ask(restate.node.ingress, f"/promises/{disposed}/dispose")
        assert "PromiseDisposedError" == waiting().json()


def test_a_wait_in_time_gets_its_value(
    restate: RestateServer, steps: ServiceProcess
) -> None:
    """A wait with a timeout returns the value that comes before it."""
    id = token_hex(8)
    body = {"id": id, "timeout": 60}
    with pending_ask(restate.node.ingress, "/steps/get", body) as waiting:
        eventually(lambda: restate.waiters(id) > 0, "it waits")
        resolve(restate, id, {"a": 1})

        assert {"a": 1} == waiting().json()


def test_after_a_crash_a_step_returns_what_it_returned(
    restate: RestateServer, killed: ServiceProcess
) -> None:
    """A step is not repeated, even when the promise has a new generation since."""
    settled, gate = token_hex(8), token_hex(8)
    body = {"settle": settled, "wait": gate}
    with pending_ask(restate.node.ingress, "/steps/settle_and_wait", body) as waiting:
        eventually(lambda: restate.waiters(gate) > 0, "it waits")
        ask(restate.node.ingress, f"/promises/{settled}/dispose")
        resolve(restate, settled, "another's")
        killed.kill()
        resolve(restate, gate, None)
        killed.start()

        assert {"value": "mine"} == waiting().json()
    assert b'{"value":"another\'s"}' == resolve(restate, settled, "mine").body


def test_what_is_stopped_goes_on_in_the_next_process(
    restate: RestateServer, steps: ServiceProcess
) -> None:
    """A process whose handler waits stops at once, by exit code 0; nothing is lost."""
    settled, gate = token_hex(8), token_hex(8)
    body = {"settle": settled, "wait": gate}
    with pending_ask(restate.node.ingress, "/steps/settle_and_wait", body) as waiting:
        eventually(lambda: restate.waiters(gate) > 0, "it waits")
        steps.stop()
        resolve(restate, gate, None)
        steps.start()

        assert {"value": "mine"} == waiting().json()


def pass_on(
    restate: RestateServer, target: tuple[str, str], body: bytes, key: str | None = None
) -> tuple[int, str]:
    """Call a handler of ours from a handler of another service."""
    call = {"target": target, "body": [*body], "key": key}
    answer = ask(restate.node.ingress, "/steps/pass_on", call, timeout=20)
    assert 200 == answer.status, answer
    status, text = answer.json()
    return status, text


def awakeable(kind: str = "sign") -> str:
    """Return a name that Restate can decode, of an awakeable that nobody awaits."""
    return f"{kind}_1{urlsafe_b64encode(token_bytes(28)).decode().rstrip('=')}"


_LONG = b'"%b"' % (b"x" * 2**21)
NOT_AWAKEABLES = (
    *(b"", b"nonsense", b"5", b"null", b"[]", b'{"a": 1}', b"\xff\xfe", b'"\\ud800"'),
    *(
        b'"x"',
        b'""',
        b'"sign_1"',
        b'"sign_2%b"' % (b"A" * 38),
        b'"%b"' % (b"x" * 2**21),
    ),
    # Too short, too long, of another kind, not base64url, bits that are not zero.
    *(b'"sign_1%b"' % (b"A" * 37), b'"sign_1%b"' % (b"A" * 39)),
    *(b'"inv_1%b"' % (b"A" * 38), b'"sign_1%b"' % (b"A" * 37 + b"+")),
    *(b'"sign_1%b"' % (b"A" * 37 + b"B"), b"[" * 100_000),
)


@pytest.mark.parametrize("operation", ["await", "forget"])
def test_what_is_not_an_awakeable_is_refused(
    restate: RestateServer, steps: ServiceProcess, operation: str
) -> None:
    """A body that names none is answered once, by 400; the promise is as before."""
    id = token_hex(8)

    for body in NOT_AWAKEABLES:
        status, message = pass_on(restate, ("promises", operation), body, id)
        assert 400 == status, (body[:50], message)
        assert len(message) < 100
    assert {} == restate.state(id)
    assert {"value": 1} == resolve(restate, id, 1).json()


@pytest.mark.parametrize("kind", ["sign", "prom"])
def test_an_awakeable_of_nobody_harms_nobody(
    restate: RestateServer, steps: ServiceProcess, kind: str
) -> None:
    """Restate can decode each name that is kept: settles go on, and keep none."""
    id = token_hex(8)
    for _ in range(20):
        name = f'"{awakeable(kind)}"'.encode()
        assert (200, "null") == pass_on(restate, ("promises", "await"), name, id)

    assert 20 == restate.waiters(id)
    assert {"value": 1} == resolve(restate, id, 1).json()
    assert {"value": 1} == restate.state(id)["value"]


def test_a_wake_that_is_not_valid_is_refused(
    restate: RestateServer, steps: ServiceProcess
) -> None:
    """Nobody is woken with what is not an answer, nor is a name tried that is none."""
    good = awakeable().encode()
    refused = (
        *NOT_AWAKEABLES,
        *(b'["%b", null]' % good, b"[[], 1, 2]", b"[[5], null]", b'[["x"], null]'),
        *(b'[["%b", "x"], null]' % good, b'[["%b"], nul]' % good),
        *(b'[["%b"], {"value": nul}]' % good, b'[["%b"], {"error": 5}]' % good),
    )
    for body in refused:
        status, message = pass_on(restate, ("promises", "wake"), body, token_hex(8))
        assert 400 == status, (body[:50], message)
    for answer in (b"null", b'{"value": 1}', b'{"error": "no"}', b"{}"):
        body = b'[["%b"], %b]' % (good, answer)
        assert (200, "") == pass_on(restate, ("promises", "wake"), body, token_hex(8))


@pytest.mark.parametrize("service", ["promise", "promises"])
@pytest.mark.parametrize("operation", ["resolve", "reject", "peek", "dispose", "await"])
@pytest.mark.parametrize(
    "body",
    [
        b"nonsense",
        b"\xff",
        b"[" * 100_000,
        b"9" * 900_000,
        b'{"promiseId": 5, "value": 1, "errorMessage": 1}',
        b'{"promiseId": "a", "promiseId": "b", "errorMessage": "x"}',
        b'{"promiseId": "%b", "value": "%b", "errorMessage": "x"}'
        % (b"x" * 2000, b"y" * 2**21),
    ],
    ids=["text", "bytes", "depth", "digits", "types", "twice", "size"],
)
def test_every_handler_answers_whatever_it_is_given(
    restate: RestateServer,
    steps: ServiceProcess,
    service: str,
    operation: str,
    body: bytes,
) -> None:
    """Another service's call ends, as does one at the ingress; no body is retried."""
    key = token_hex(8) if service == "promises" else None
    path = f"/promises/{key}/{operation}" if key else f"/promise/{operation}"

    status, message = pass_on(restate, (service, operation), body, key)
    answer = ask(restate.node.ingress, path, body, timeout=20)

    unread = key is not None and operation in {"peek", "dispose"}
    if not unread and (status, operation) != (200, "resolve"):
        assert status in (400, 422), message
        assert 400 <= answer.status < 500, answer
        assert len(message) < 1000
    else:
        assert 200 == status == answer.status
    if key and (operation, status) != ("resolve", 200):
        assert {} == restate.state(key)


def test_what_an_older_version_kept_is_passed_over(restate: RestateServer) -> None:
    """A settle ends although the state names waiters that Restate cannot decode."""
    id, other, good = token_hex(8), token_hex(8), awakeable()
    listeners = json.dumps(["x", good]).encode()
    restate.set_state(id, {"waiter/x": b"true", "listeners": listeners})
    restate.set_state(other, {"waiter/": b"true", "listeners": b"[5]"})

    assert {"value": 1} == resolve(restate, id, 1).json()
    assert {"value": 1} == restate.state(id)["value"]
    assert 200 == ask(restate.node.ingress, f"/promises/{other}/dispose").status
    assert {} == restate.state(other)


@pytest.mark.parametrize("kept", [b"nonsense", b'{"error": 5}', b"[1]"])
def test_a_damaged_outcome_is_an_error_until_it_is_disposed_of(
    restate: RestateServer, kept: bytes
) -> None:
    """What is not an outcome is answered by 500 and the way out, never retried."""
    id = token_hex(8)
    restate.set_state(id, {"value": kept})

    for path, body in (
        (f"/promises/{id}/peek", b""),
        (f"/promises/{id}/resolve", 1),
        ("/promise/await", {"promiseId": id}),
    ):
        answer = ask(restate.node.ingress, path, body, timeout=20)
        assert 500 == answer.status
        assert "dispose of it" in answer.json()["message"]
    assert 200 == ask(restate.node.ingress, f"/promises/{id}/dispose").status
    assert {"value": 1} == resolve(restate, id, 1).json()


def test_asker_and_answerer(restate: RestateServer, qna: ServiceProcess) -> None:
    """Example 4: the asker gets the first answer, and so do later ones."""
    question = f"why {token_hex(8)}?"
    with pending_ask(restate.node.ingress, "/qna/ask", question) as asking:
        eventually(lambda: restate.waiters(question) > 0, "it waits")
        for answer in ("because", "another reason"):
            given = {"questionId": question, "answer": answer}
            assert 200 == ask(restate.node.ingress, "/qna/answer", given).status

        assert {"answer": "because"} == asking().json()
    later = ask(restate.node.ingress, "/qna/ask", question)
    assert {"answer": "because"} == later.json()


def test_an_asker_that_is_killed_gets_its_answer(
    restate: RestateServer, qna: ServiceProcess
) -> None:
    """Example 4: a waiting handler that is killed goes on in the next process."""
    question = f"why {token_hex(8)}?"
    with pending_ask(restate.node.ingress, "/qna/ask", question) as asking:
        eventually(lambda: restate.waiters(question) > 0, "it waits")
        qna.kill()
        resolve(restate, question.replace("?", "%3F").replace(" ", "%20"), "because")
        qna.start()

        assert {"answer": "because"} == asking().json()
