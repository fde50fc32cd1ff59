"""The recorded wire of the reference, replayed against a real server."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from queue import SimpleQueue
from select import select
from threading import Thread
from typing import Any, Final

import pytest

from support.server_process import JSON, TIMEOUT, Answer, Server, read, running
from support.wire.recording import RECORDED

BY_CASE: Final = {exchange["case"]: exchange for exchange in RECORDED}

# What we answer differently (DESIGN §7): {case: (recorded, ours, why)}.
DIFFERENT: Final[Mapping[str, tuple[int, int, str]]] = {
    "reject without errorMessage": (500, 400, "the request is bad, not the server"),
    "missing promiseId": (500, 400, "the request is bad, not the server"),
    "empty promiseId": (200, 400, "no id is empty, so that no file name is"),
    "wrong content type": (400, 415, "the status made for it (RFC 9110 §15.5.16)"),
    "no content type": (400, 415, "the status made for it (RFC 9110 §15.5.16)"),
    "the request that was awaiting when its promise was disposed": (
        500,
        410,
        "clients must tell it from a failure of the server",
    ),
}

# These are about two requests at once; each has its own test below.
HELD: Final = "await pending holds the connection"
OVERLAPPING: Final = (
    (
        "dispose while another request awaits",
        "the request that was awaiting when its promise was disposed",
    ),
    (
        "resolve while another request awaits",
        "the request that was awaiting when its promise was resolved",
    ),
)
ALONE: Final = [
    exchange
    for exchange in RECORDED
    if exchange["case"] not in {HELD, *(case for pair in OVERLAPPING for case in pair)}
]

STORES: Final = ["memory", "file"]


@pytest.fixture(scope="module", params=STORES)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A real server over each kind of store."""
    if request.param == "file" and not find_spec("dp_backends.file"):
        pytest.skip("there is no file backend")
    store = tmp_path_factory.mktemp("store") / "promises"
    url = f"file:{store}" if request.param == "file" else "memory:"
    with running(url) as server:
        yield server


@pytest.fixture(scope="module")
def prefix(server: Server) -> str:
    """What ``$`` stands for in a recorded id, which nobody else uses."""
    return f"{uuid.uuid4()}-"


def ask(server: Server, exchange: dict[str, Any], prefix: str) -> Answer:
    """Make the recorded request."""
    headers = dict(JSON)
    if "request_content_type" in exchange:
        given = exchange["request_content_type"]
        headers = {"Content-Type": given} if given else {}
    path, body = exchange["path"], exchange["request"]
    if body is None:
        headers = {}
    else:
        body = body.replace("$", prefix).encode()
    return server.ask(path.replace("$", prefix), body, headers, exchange["method"])


def meaning(body: str) -> Any:
    """Return what an answer says; a value that is missing means null."""
    said = json.loads(body) if body else body
    return {"value": None} if said == {} else said


def check(answer: Answer, exchange: dict[str, Any]) -> None:
    """Compare an answer with the recorded one."""
    recorded = exchange["response"]
    _, expected, _ = DIFFERENT.get(exchange["case"], (0, recorded["status"], ""))

    assert answer.status == expected
    if expected == 200:
        assert answer.headers.get("content-type") == recorded["content_type"]
        assert meaning(answer.body.decode()) == meaning(recorded["body"])
    else:
        assert "application/json" == answer.headers["content-type"]
        assert answer.json()["code"] == expected
        assert isinstance(answer.json()["message"], str)


def test_every_exchange_is_replayed() -> None:
    """All 41 recorded exchanges are tested, and the table names real ones."""
    overlapping = {case for pair in OVERLAPPING for case in pair}

    assert len(RECORDED) == len(BY_CASE) == 41
    assert {exchange["case"] for exchange in ALONE} | overlapping | {HELD} == set(
        BY_CASE
    )
    for case, (recorded, ours, why) in DIFFERENT.items():
        assert BY_CASE[case]["response"]["status"] == recorded != ours
        assert why


# In the recorded order, because each exchange builds on those before it.
@pytest.mark.parametrize("exchange", ALONE, ids=lambda exchange: exchange["case"])
def test_an_exchange_goes_as_recorded(
    server: Server, prefix: str, exchange: dict[str, Any]
) -> None:
    """Status, content type and body are the reference's, or differ as stated."""
    check(ask(server, exchange, prefix), exchange)


@pytest.mark.parametrize(("changing", "awaiting"), OVERLAPPING)
def test_two_exchanges_go_as_recorded(
    server: Server, changing: str, awaiting: str
) -> None:
    """A request that awaits hears what another one does to its promise."""
    prefix = f"{uuid.uuid4()}-"
    answers: SimpleQueue[Answer] = SimpleQueue()
    waiter = Thread(
        target=lambda: answers.put(ask(server, BY_CASE[awaiting], prefix)), daemon=True
    )
    waiter.start()
    # A disposal that came before the wait has no effect on it, and may be
    # repeated; nor has repeating a completion any.
    while waiter.is_alive():
        check(ask(server, BY_CASE[changing], prefix), BY_CASE[changing])
        waiter.join(0.05)

    check(answers.get(timeout=TIMEOUT), BY_CASE[awaiting])


@pytest.mark.slow
def test_an_await_holds_its_connection(server: Server) -> None:
    """Nothing is answered before the promise is settled; then it is at once."""
    prefix = f"{uuid.uuid4()}-"
    exchange = BY_CASE[HELD]
    body = exchange["request"].replace("$", prefix)
    connection = server.connect()
    connection.request("POST", exchange["path"], body, JSON)
    # Answered after it, on another connection: what comes first is not late.
    bounded = {**JSON, "Prefer": "wait=1"}
    others = server.ask(exchange["path"], body, bounded)
    early, _, _ = select([connection.sock], [], [], 0)
    settled = server.ask("/promise/resolve", body.replace("}", ', "value": 7}'))
    answer = read(connection)
    connection.close()

    assert 202 == others.status
    assert not early
    assert settled.json() == answer.json() == {"value": 7}


# The three forms ------------------------------------------------------------


FORMS: Final = ["service", "object", "server"]


def form(name: str, operation: str, id: str, **members: Any) -> tuple[str, str | None]:
    """Return path and body of an operation in one of the three forms."""
    if name == "service":
        return f"/promise/{operation}", json.dumps({"promiseId": id, **members})
    if name == "server":
        request = {"promiseName": id, **members}
        return f"/durablePromiseServer/{operation}", json.dumps({"request": request})
    body = json.dumps(*members.values()) if members else None
    return f"/promises/{id}/{operation}", body


@pytest.mark.parametrize("settles", FORMS)
@pytest.mark.parametrize("asks", FORMS)
def test_the_three_forms_are_one_promise(
    server: Server, settles: str, asks: str
) -> None:
    """What is settled in one form is seen in every other, and disposed of too."""
    id = str(uuid.uuid4())
    other = f"{id}-rejected"
    server.ask(*form(settles, "resolve", id, value={"a": [1]}))
    server.ask(*form(settles, "reject", other, errorMessage="no"))

    assert {"value": {"a": [1]}} == server.ask(*form(asks, "peek", id)).json()
    assert {"error": "no"} == server.ask(*form(asks, "peek", other)).json()
    assert b"" == server.ask(*form(asks, "dispose", id)).body
    assert server.ask(*form(settles, "peek", id)).json() is None


@pytest.mark.parametrize("asks", FORMS)
def test_every_form_can_await(server: Server, asks: str) -> None:
    """Also the object form, which awaits in a way of its own on the reference."""
    id = str(uuid.uuid4())
    server.ask(*form("object", "resolve", id, value="x"))

    assert {"value": "x"} == server.ask(*form(asks, "await", id)).json()


def test_numbers_survive_to_the_digit(server: Server) -> None:
    """Values are passed through as text: no number is rounded or respelled."""
    id = str(uuid.uuid4())
    value = b"[1.10,1e-400,-0,1E+2,%b]" % (b"7" * 5000)
    server.ask(f"/promises/{id}/resolve", value)

    assert server.ask(f"/promises/{id}/peek").body == b'{"value":%b}' % value
