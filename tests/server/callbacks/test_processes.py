"""Callbacks by real processes, which are killed in the middle."""

from __future__ import annotations

import os
import sys
from datetime import timedelta
from itertools import count
from pathlib import Path
from threading import Event

import anyio
import pytest
import trustme

import dp_core as dp
import dp_core.sync as blocking
from dp_core.testing import DeadlineClock
from dp_core.testing.crash import WRITING_CALLS, Step, VictimRunner
from dp_core.testing.crash._victims import thinned
from support.file.crash_setups import ENVIRONMENT
from support.file.sweeps import need_tools
from support.server.calling import SECRET, calling, deliveries
from support.server.receivers import Received, Receiver, receiving
from support.server_process import running

NAMES = count()
FINISHED = dp.Resolved({"status": 204})


@pytest.fixture(params=["file", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of a store that several processes can open."""
    return {
        "file": f"file:{tmp_path}/promises",
        "sqlite": f"sqlite:{tmp_path}/promises.db",
    }[request.param]


def settled(url: str, receiver: Receiver, id: str = "a") -> str:
    """Create and settle a promise, without a server; return the id of its delivery."""
    with blocking.connect(url) as promises:
        promise = promises.create(id, notify=[receiver.url])
        promise.resolve(1)
        assert promise.terms is not None
        return str(promise.terms.notify[0].delivery)


def outcome(url: str, delivery: str) -> object:
    """Return what came of a delivery, once it is finished."""
    with blocking.connect(url) as promises:
        try:
            return dp.Resolved(promises.promise(delivery).get(timeout=60))
        except dp.PromiseRejectedError as error:
            return dp.Rejected(error.error)


def test_a_process_that_is_no_server_settles(store: str) -> None:
    """A server tells of what others have created and settled before it was started."""
    with receiving() as receiver:
        delivery = settled(store, receiver)
        with running(store, secrets=[SECRET], notify_allow=["127.0.0.1"]):
            request = receiver.next()

            assert delivery == request.headers["webhook-id"]
            assert FINISHED == outcome(store, delivery)


def test_a_server_killed_before_it_marks_tells_again(store: str) -> None:
    """After SIGKILL between the request and the mark it comes again, by the same id."""
    killed = Event()

    def answer(request: Received) -> tuple[int, dict[str, str]]:
        killed.wait(60)
        return 204, {}

    with receiving(answer=answer) as receiver:
        delivery = settled(store, receiver)
        with running(store, secrets=[SECRET], notify_allow=["127.0.0.1"]) as server:
            first = receiver.next()
            server.process.kill()
            server.process.wait()
        killed.set()
        with running(store, secrets=[SECRET], notify_allow=["127.0.0.1"]):
            second = receiver.next()

            assert FINISHED == outcome(store, delivery)
    assert delivery == first.headers["webhook-id"] == second.headers["webhook-id"]
    assert receiver.received.empty()


def test_two_servers_tell_each_promise(store: str) -> None:
    """Of many promises each is told, and all that are told twice have the same id."""
    ids = [f"p{number}" for number in range(10)]
    options = {"secrets": [SECRET], "notify_allow": ["127.0.0.1"]}
    with receiving() as receiver:
        made = {settled(store, receiver, id): id for id in ids}
        with running(store, **options), running(store, **options):
            outcomes = {outcome(store, delivery) == FINISHED for delivery in made}
    told = [receiver.received.get() for _ in range(receiver.received.qsize())]

    assert {True} == outcomes
    assert made == {
        each.headers["webhook-id"]: each.json()["promiseId"] for each in told
    }


def test_tls_goes_by_the_name(tmp_path: Path) -> None:
    """A certificate has to be of the host that the URL names, at whatever address."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    url = f"sqlite:{tmp_path}/promises.db"
    right, wrong = (
        authority.issue_cert(name) for name in ("localhost", "other.example.com")
    )
    trusted = {"SSL_CERT_FILE": str(tmp_path / "ca.pem")}
    before = {name: os.environ.get(name) for name in trusted}
    os.environ.update(trusted)
    try:
        with (
            receiving(certificate=right) as receiver,
            receiving(certificate=wrong) as other,
            running(url, secrets=[SECRET], notify_allow=["localhost"]),
            blocking.connect(url) as promises,
        ):
            urls = [f"https://localhost:{each.port}/" for each in (receiver, other)]
            promises.create("a", notify=urls)
            promises.promise("a").resolve(1)

            assert "localhost" in receiver.next().headers["host"]
            assert other.received.empty()
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def test_a_stop_lets_an_attempt_finish(store: str) -> None:
    """A receiver that answers within a second is not called again after a restart."""
    stopping = Event()

    def answer(request: Received) -> tuple[int, dict[str, str]]:
        stopping.wait(60)
        return 204, {}

    with receiving(answer=answer) as receiver:
        delivery = settled(store, receiver)
        with running(store, secrets=[SECRET], notify_allow=["127.0.0.1"]) as server:
            receiver.next()
            server.process.terminate()
            stopping.set()
            server.process.wait(60)

        assert FINISHED == outcome(store, delivery)
    assert receiver.received.empty()


@pytest.mark.system
@pytest.mark.parametrize("do", ["create", "dispose"])
@pytest.mark.usefixtures("at_once")
def test_a_creator_may_be_killed_anywhere(store: str, do: str) -> None:
    """At each system call of a create: what is there is told, and nothing else."""
    need_tools()
    child = (sys.executable, "-m", "support.server.creator")
    with receiving() as receiver, VictimRunner(child, ENVIRONMENT, 60.0) as victims:
        ids: list[str] = []

        def steps() -> list[Step]:
            ids.append(f"p{next(NAMES)}")
            return [Step(do, ids[-1], receiver.url)]

        victims.run(store, steps())
        points, _ = victims.points(store, steps(), WRITING_CALLS)
        kills = [steps() for _ in thinned(points)]
        killed = 0
        for victim, point in zip(kills, thinned(points), strict=True):
            ended = victims.run_until(store, victim, point)
            # Threads share the calls differently each time, so some end before theirs.
            killed += ended.killed
            assert ended.failure is None
        assert killed > len(kills) // 2 > 3
        anyio.run(_all_told, store, ids, receiver)


async def _all_told(url: str, ids: list[str], receiver: Receiver) -> None:
    """Settle all promises; see that those are told that were created, and no others."""
    with DeadlineClock() as clock:
        async with calling(url) as calls:
            created = set()
            for id in ids:
                promise = calls.promises.promise(id)
                if (await promise.info()).terms is not None:
                    created.add(id)
                await promise.resolve(1)
            told = {(await calls.next(receiver)).json()["promiseId"] for _ in created}
            clock.advance(timedelta(hours=2))
            for each in await deliveries(calls.promises):
                with anyio.fail_after(60):
                    await calls.promises.backend.wait(each.id)
            left = {
                each.state
                for each in await deliveries(calls.promises)
                if isinstance(each.state, dp.Rejected)
            }

    assert created == told
    assert left <= {
        dp.Rejected("not asked for"),
        dp.Rejected("its promise was disposed of"),
    }
    assert receiver.received.empty()
