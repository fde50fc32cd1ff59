"""Callbacks of a real server whose clock goes on by an hour, and by days."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

import dp_core as dp
import dp_core.sync as blocking
from support.server.calling import SECRET
from support.server.faketime import SettableClock, need_faketime, shared_by_faketime
from support.server.receivers import receiving
from support.server_process import Server, running

pytestmark = pytest.mark.system

HOUR, DAY = 3600, 86400
TOLD = dp.Resolved({"status": 204})


@pytest.fixture
def store(tmp_path: Path) -> str:
    """Return the URL of a store that is not there."""
    return f"file:{tmp_path}/promises"


@pytest.fixture
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SettableClock:
    """Return the clock of servers."""
    need_faketime()
    return SettableClock(tmp_path, monkeypatch)


def settled(store: str, url: str) -> str:
    """Create and settle a promise; return the id of its delivery."""
    with blocking.connect(store) as promises:
        promise = promises.create("a", notify=[url])
        promise.resolve(1)
        assert promise.terms is not None
        return str(promise.terms.notify[0].delivery)


def outcome(store: str, delivery: str) -> object:
    """Return what came of a delivery, once it is finished."""
    with blocking.connect(store) as promises:
        try:
            return dp.Resolved(promises.promise(delivery).get(timeout=60))
        except dp.PromiseRejectedError as error:
            return dp.Rejected(error.error)


def failed(server: Server) -> str:
    """Return the next line of a server's log that says that a callback has failed."""
    assert server.process.stderr is not None
    for line in server.process.stderr:
        if "callback to" in line:
            return line
    raise AssertionError("the server has ended")


def test_a_moved_clock_leaves_nothing(store: str, clock: SettableClock) -> None:
    """What libfaketime shares in memory goes with its server, though that is killed."""
    with running(store) as server:
        assert 2 == len(shared_by_faketime(server.process.pid))
    assert [] == shared_by_faketime(server.process.pid)


def test_an_hour_that_a_receiver_asks_for(store: str, clock: SettableClock) -> None:
    """It is told again once the server's clock is so far, by the same id."""
    busy = (503, {"Retry-After": str(HOUR)})
    with receiving(answer=lambda request: busy) as receiver:
        delivery = settled(store, receiver.url)
        with running(store, secrets=[SECRET], notify_allow=["127.0.0.1"]) as server:
            first = receiver.next()
            assert f"in {HOUR} s" in failed(server)
            receiver.answer = lambda request: (204, {})
            clock.set(f"+{HOUR + 60}")
            second = receiver.next()

            assert TOLD == outcome(store, delivery)
    times = [int(each.headers["webhook-timestamp"]) for each in (first, second)]

    assert delivery == first.headers["webhook-id"] == second.headers["webhook-id"]
    assert HOUR <= times[1] - times[0]
    assert times[0] <= datetime.now(UTC).timestamp()
    assert receiver.received.empty()


def test_a_receiver_that_was_gone_for_two_days_is_told(
    store: str, clock: SettableClock
) -> None:
    """Nothing was at its port meanwhile; it is told once, as soon as it is back."""
    with receiving() as gone:
        pass
    delivery = settled(store, gone.url)
    with running(store, secrets=[SECRET], notify_allow=["127.0.0.1"]) as server:
        assert "ConnectError" in failed(server)
        clock.set(f"+{2 * DAY}")
        with receiving(port=gone.port) as receiver:
            assert delivery == receiver.next().headers["webhook-id"]
            assert TOLD == outcome(store, delivery)
    assert receiver.received.empty()


def test_a_receiver_that_was_gone_for_three_days_is_given_up(
    store: str, clock: SettableClock
) -> None:
    """It is tried once more then, and the store says how that ended."""
    with receiving() as receiver:
        pass
    delivery = settled(store, receiver.url)
    with running(store, secrets=[SECRET], notify_allow=["127.0.0.1"]) as server:
        assert "ConnectError" in failed(server)
        clock.set(f"+{3 * DAY + HOUR}")
        ended = outcome(store, delivery)

    assert isinstance(ended, dp.Rejected)
    assert "given up after three days: no answer: ConnectError" in str(ended.error)
