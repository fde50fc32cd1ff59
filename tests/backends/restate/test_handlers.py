"""Durable promises inside handlers, and handlers whose process is killed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex
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
    service.kill()


@pytest.fixture
def qna(restate: RestateServer) -> Iterator[ServiceProcess]:
    """Host example 4."""
    service = ServiceProcess.of_program(EXAMPLE_4, restate)
    service.start()
    yield service
    service.kill()


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
    restate: RestateServer, steps: ServiceProcess
) -> None:
    """A step is not repeated, even when the promise has a new generation since."""
    settled, gate = token_hex(8), token_hex(8)
    body = {"settle": settled, "wait": gate}
    with pending_ask(restate.node.ingress, "/steps/settle_and_wait", body) as waiting:
        eventually(lambda: restate.waiters(gate) > 0, "it waits")
        ask(restate.node.ingress, f"/promises/{settled}/dispose")
        resolve(restate, settled, "another's")
        steps.kill()
        resolve(restate, gate, None)
        steps.start()

        assert {"value": "mine"} == waiting().json()
    assert b'{"value":"another\'s"}' == resolve(restate, settled, "mine").body


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
