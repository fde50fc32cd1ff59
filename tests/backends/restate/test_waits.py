"""Waits through Restate: their ends, and that Restate keeps nothing of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest

from support.core.torture import TORTURE
from support.restate import (
    JSON,
    HttpAnswer,
    RestateServer,
    ServiceProcess,
    ask,
    eventually,
    free_ports,
    pending_ask,
)
from support.server.faketime import need_faketime, shared_by_faketime

HANDLERS = Path(__file__).parent / "handlers" / "programs" / "handlers.py"

# More than one invocation of the object wakes by itself.
WAITERS = 10_000 if TORTURE else 250
CALLS = 10_000 if TORTURE else 350


def prefer(seconds: int) -> dict[str, str]:
    """Return the headers of a request that waits *seconds* at most."""
    return {**JSON, "Prefer": f"wait={seconds}"}


def test_a_wait_ends_when_the_client_says(quiet: RestateServer) -> None:
    """After ``Prefer: wait`` the answer is null, and no waiter is left."""
    id = token_hex(8)

    answer = ask(quiet.node.ingress, "/promise/await", {"promiseId": id}, prefer(1))

    assert (200, b"null") == (answer.status, answer.body)
    eventually(lambda: not quiet.state(id), "its waiter is forgotten")


def test_a_waiter_that_has_gone_leaves_nothing(quiet: RestateServer) -> None:
    """A waiter whose connection is cut is forgotten when its time is over."""
    id = token_hex(8)
    body = {"promiseId": id}
    with pending_ask(quiet.node.ingress, "/promise/await", body, prefer(2)):
        eventually(lambda: quiet.waiters(id) > 0, "it waits")

    eventually(lambda: not quiet.state(id), "its waiter is forgotten")
    eventually(lambda: not quiet.invocations("promise/await"), "its wait is over")


def test_what_is_done_leaves_only_the_promise(quiet: RestateServer) -> None:
    """Of completed operations, Restate keeps the outcome and nothing else."""
    id = token_hex(8)
    for path, body in (
        (f"/promises/{id}/resolve", 1),
        (f"/promises/{id}/peek", b""),
        ("/promise/reject", {"promiseId": id, "errorMessage": "no"}),
        ("/promise/await", {"promiseId": id}),
    ):
        assert {"value": 1} == ask(quiet.node.ingress, path, body).json()

    def kept() -> list[Any]:
        return quiet.query(
            "SELECT target FROM sys_invocation "  # noqa: S608 - ours
            f"WHERE target_service_key = '{id}' OR target_service_name = 'promise'"
        )

    eventually(lambda: not kept(), "no invocation is left")
    assert {"value": 1} == quiet.state(id)["value"]


@pytest.mark.parametrize("prefix", ["", "/restate/call"])
def test_keyless_answers_leave_no_journal(quiet: RestateServer, prefix: str) -> None:
    """
    However many calls have no Idempotency-Key, Restate stores none of their answers.

    From 1.7 on it makes a key for each, and keeps an answer as long as the handler
    says: not at all.
    """

    def kept() -> dict[str, int]:
        tables = ("sys_invocation", "sys_invocation_status", "sys_journal", "sys_inbox")
        rows = {t: quiet.query(f"SELECT count(1) AS n FROM {t}")[0] for t in tables}  # noqa: S608 - names of tables
        return {table: row["n"] for table, row in rows.items()}

    id = token_hex(8)
    eventually(lambda: not any(kept().values()), "nothing is kept of other tests")
    calls = [
        (f"{prefix}/promises/{id}/peek", b"", JSON),
        (f"{prefix}/promises/{id}/resolve", 1, JSON),
        (f"{prefix}/promise/peek", {"promiseId": id}, JSON),
        (f"{prefix}/promise/reject", {"promiseId": id, "errorMessage": "no"}, JSON),
        (f"{prefix}/promise/await", {"promiseId": id}, prefer(60)),
        (f"{prefix}/promise/await", {"promiseId": f"{id}-not"}, prefer(0)),
        (f"{prefix}/promise/peek", {"promiseId": ""}, JSON),
    ]
    with ThreadPoolExecutor(16) as threads:
        answers = threads.map(
            lambda n: ask(quiet.node.ingress, *calls[n % len(calls)]), range(CALLS)
        )
        assert {200, 400} == {answer.status for answer in answers}

    eventually(lambda: not any(kept().values()), "no answer is kept")
    assert {"value": 1} == quiet.state(id)["value"]
    assert {} == quiet.state(f"{id}-not")


def test_a_wait_that_is_cancelled_leaves_nothing(quiet: RestateServer) -> None:
    """A wait that is cancelled through Restate is forgotten as a waiter."""
    id = token_hex(8)
    with pending_ask(quiet.node.ingress, "/promise/await", {"promiseId": id}) as wait:
        eventually(lambda: quiet.waiters(id) > 0, "it waits")
        (waiting,) = quiet.invocations("promise/await")
        path = f"/v3/invocations/{waiting['id']}/cancel"
        assert 202 == ask(quiet.node.admin, path, method="PATCH").status

        assert 409 == wait().status
    eventually(lambda: not quiet.state(id), "its waiter is forgotten")


def test_a_repeated_request_joins_its_own_wait(quiet: RestateServer) -> None:
    """With the same Idempotency-Key, a repeated request starts no second wait."""
    id = token_hex(8)
    body, headers = {"promiseId": id}, {**JSON, "Idempotency-Key": token_hex(8)}
    with pending_ask(quiet.node.ingress, "/promise/await", body, headers):
        eventually(lambda: quiet.waiters(id) > 0, "it waits")
    (begun,) = quiet.invocations("promise/await")

    # One-way, so that Restate answers at once whether the key's wait goes on.
    again = ask(quiet.node.ingress, "/promise/await/send", body, headers).json()
    assert ("PreviouslyAccepted", begun["id"]) == (
        again["status"],
        again["invocationId"],
    )
    with pending_ask(quiet.node.ingress, "/promise/await", body, headers) as wait:
        ask(quiet.node.ingress, f"/promises/{id}/resolve", 1)
        assert {"value": 1} == wait().json()
    eventually(lambda: not quiet.invocations("promise/await"), "its wait is over")


@contextmanager
def crowd(restate: RestateServer, id: str) -> Iterator[list[Callable[[], HttpAnswer]]]:
    """Let many wait for a promise; return functions that return their answers."""
    with ExitStack() as stack:
        waits = [
            stack.enter_context(
                pending_ask(restate.node.ingress, "/promise/await", {"promiseId": id})
            )
            for _ in range(WAITERS)
        ]
        eventually(lambda: restate.waiters(id) == WAITERS, "all wait")
        yield waits


def test_one_settle_wakes_many(quiet: RestateServer) -> None:
    """Each waiter is one small key, and each gets the value."""
    id = token_hex(8)
    with crowd(quiet, id) as waits:
        assert {True} == set(quiet.state(id).values())
        ask(quiet.node.ingress, f"/promises/{id}/resolve", "morning")

        answers = [wait() for wait in waits]
    assert {b'{"value":"morning"}'} == {answer.body for answer in answers}
    assert {"value": "morning"} == quiet.state(id)["value"]


def test_one_dispose_wakes_many(quiet: RestateServer) -> None:
    """Each waiter gets a 410, and none an outcome of the next generation."""
    id = token_hex(8)
    with crowd(quiet, id) as waits:
        ask(quiet.node.ingress, f"/promises/{id}/dispose")
        ask(quiet.node.ingress, f"/promises/{id}/resolve", "another's")

        answers = [wait() for wait in waits]
    assert {410} == {answer.status for answer in answers}
    assert {"value": "another's"} == quiet.state(id)["value"]


def test_nobody_waits_for_ever(program: None, tmp_path: Path) -> None:
    """A wait without a time, as of the reference's clients, ends with a 504."""
    restate = RestateServer(tmp_path / "restate")
    # Replaced inside the program, because a test cannot wait for an hour.
    source = (
        "from dp_backends.restate import _service\n"
        "_service.LONGEST_WAIT = 1\n"
        "from dp_core.cli import main\n"
        "main()"
    )
    serve = ("restate", "serve", "--port", *free_ports(1))
    service = ServiceProcess("-c", source, *serve, "--register", restate.admin_url)
    id = token_hex(8)
    try:
        restate.start()
        restate.wait_until_ready()
        service.start()
        answer = ask(restate.node.ingress, "/promise/await", {"promiseId": id})

        assert (504, "the promise is still pending; ask again") == (
            answer.status,
            answer.json()["message"],
        )
        eventually(lambda: not restate.state(id), "its waiter is forgotten")
        eventually(lambda: not restate.invocations("promise/await"), "it is over")
    finally:
        service.stop()
        restate.kill()


@pytest.fixture(scope="module", params=["+1h", "-1h", "+7s", "-7s"])
def shifted(
    program: None, tmp_path_factory: pytest.TempPathFactory, request: Any
) -> Iterator[RestateServer]:
    """Return a server whose services have a clock that differs from its own."""
    need_faketime()
    restate = RestateServer(tmp_path_factory.mktemp("shifted"))
    services = [
        ServiceProcess.of_promises(restate),
        ServiceProcess.of_program(HANDLERS, restate),
    ]
    try:
        restate.start()
        restate.wait_until_ready()
        for service in services:
            service.shift_clock(request.param)
            service.start()
        yield restate
    finally:
        for service in services:
            service.stop()
        restate.kill()


def test_a_shifted_clock_leaves_nothing() -> None:
    """What libfaketime shares in memory goes with a service, though that is killed."""
    need_faketime()
    program = "import os, signal; print(); print(os.getpid()); signal.pause()"
    service = ServiceProcess("-c", program)
    service.shift_clock("+1h")
    try:
        pid = int(service.start())
        assert 2 == len(shared_by_faketime(pid))
    finally:
        service.kill()
    assert [] == shared_by_faketime(pid)


# Longer than that a wait may be suspended, and end late where the clock is ahead.
@pytest.mark.parametrize("seconds", [1, 4])
def test_a_wait_takes_its_time_whatever_the_clocks_show(
    shifted: RestateServer, seconds: int
) -> None:
    """``Prefer: wait`` ends neither at once nor hours late, and is woken meanwhile."""
    id = token_hex(8)
    body, begun = {"promiseId": id}, time.monotonic()

    answer = ask(shifted.node.ingress, "/promise/await", body, prefer(seconds))

    assert (200, b"null") == (answer.status, answer.body)
    assert seconds - 0.2 < time.monotonic() - begun
    with pending_ask(shifted.node.ingress, "/promise/await", body, prefer(5)) as wait:
        eventually(lambda: shifted.waiters(id) > 0, "it waits")
        ask(shifted.node.ingress, f"/promises/{id}/resolve", 1)
        assert {"value": 1} == wait().json()


@pytest.mark.parametrize("seconds", [0.5, 12])
def test_a_handler_waits_as_long_as_it_says(
    shifted: RestateServer, seconds: float
) -> None:
    """``get(timeout=…)`` in a handler does neither, and is woken meanwhile."""
    id, begun = token_hex(8), time.monotonic()
    asked = {"id": id, "timeout": seconds}

    caught = ask(shifted.node.ingress, "/steps/caught", asked).json()

    assert "PromiseTimeoutError" == caught
    assert seconds - 0.2 < time.monotonic() - begun
    asked = {"id": id, "timeout": 60}
    with pending_ask(shifted.node.ingress, "/steps/get", asked) as waiting:
        eventually(lambda: shifted.waiters(id) > 0, "it waits")
        ask(shifted.node.ingress, f"/promises/{id}/resolve", 1)
        assert 1 == waiting().json()


@pytest.mark.parametrize("shifted", ["-1h", "-7s"], indirect=True)
def test_a_long_wait_never_ends_early(shifted: RestateServer) -> None:
    """What Restate's timer leaves of the time is waited for all the same."""
    body, begun = {"promiseId": token_hex(8)}, time.monotonic()

    answer = ask(shifted.node.ingress, "/promise/await", body, prefer(9))

    assert (200, b"null") == (answer.status, answer.body)
    assert 8.8 < time.monotonic() - begun


def test_a_dispose_does_not_overtake_a_settle(
    quiet: RestateServer,
) -> None:
    """Waiters that are not woken yet get the outcome, and not the dispose after it."""
    id = token_hex(8)
    with crowd(quiet, id) as waits:
        # Both are queued before the last waiters are woken: one runs at a time.
        for path in ("resolve", "dispose"):
            send = ask(quiet.node.ingress, f"/promises/{id}/{path}/send", b"")
            assert 202 == send.status

        assert {b"{}"} == {wait().body for wait in waits}
    eventually(lambda: not quiet.state(id), "it is pending, without waiters")
