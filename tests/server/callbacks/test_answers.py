"""The head of an answer is the answer, whatever becomes of its body."""

from __future__ import annotations

import logging
import socket
from datetime import timedelta
from pathlib import Path
from threading import Event

import pytest

import dp_core as dp
from dp_core.server._callbacks import _sending
from dp_core.testing import DeadlineClock
from support.server.calling import Calls, calling, deliveries, until
from support.server.raw_receivers import RawReceiver, Script, raw_receiving, saying

pytestmark = pytest.mark.usefixtures("at_once")

CUT = b"Content-Length: 100\r\n\r\nx"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
OK, GONE = b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 410 Gone\r\n"
NO_CONTENT = saying(b"HTTP/1.1 204 No Content\r\n\r\n")
GONE_AT_ALL = saying(GONE + b"Content-Length: 0\r\n\r\n")

TOLD = dp.Resolved(b'{"status":200}')
WANTS_NO_MORE = dp.Rejected("the receiver wants no more: status 410")


async def told(calls: Calls, receiver: RawReceiver) -> dp.State[bytes]:
    """Let a promise be told, and return what came of it."""
    promise = await calls.promises.create("a", notify=[receiver.url])
    await promise.resolve(1)
    (outcome,) = await calls.finished("a")
    return outcome


@pytest.mark.parametrize("then_wait", [False, True], ids=["closed", "silent"])
@pytest.mark.parametrize(
    "body",
    [
        CUT,
        CHUNKED,
        CHUNKED + b"5\r\nab",
        CHUNKED + b"garbage\r\n",
        b"\r\nuntil the end",
    ],
    ids=["cut", "no chunk", "cut chunk", "garbage", "no length"],
)
@pytest.mark.parametrize(
    ("head", "expected"), [(OK, TOLD), (GONE, WANTS_NO_MORE)], ids=["200", "410"]
)
async def test_a_body_changes_nothing(
    memory: str,
    monkeypatch: pytest.MonkeyPatch,
    head: bytes,
    expected: object,
    body: bytes,
    then_wait: bool,
) -> None:
    """With status and headers a receiver was told, or has refused, and once."""
    monkeypatch.setattr(_sending, "_BODY_SECONDS", 0.02)
    # Who asked again would be told the contrary.
    again = NO_CONTENT if head is GONE else GONE_AT_ALL
    with raw_receiving(saying(head + body, then_wait=then_wait), again) as receiver:
        async with calling(memory) as calls:
            assert expected == await told(calls, receiver)

        assert 1 == receiver.asked


async def test_a_body_may_come_after_its_head(memory: str) -> None:
    """Who sends it a little later finds the connection open: nothing is cut off."""
    is_head_read, seen = Event(), []

    def script(connection: socket.socket, receiver: RawReceiver) -> None:
        connection.sendall(OK + b"Content-Length: 4\r\n\r\n")
        is_head_read.wait()
        connection.sendall(b"do")
        connection.sendall(b"ne")
        # An end that is none of our making comes as an error.
        seen.append(connection.recv(1))

    with raw_receiving(script) as receiver:
        async with calling(memory) as calls:
            promise = await calls.promises.create("a", notify=[receiver.url])
            await promise.resolve(1)
            await until(lambda: calls.callbacks._sender._reading)
            is_head_read.set()
            await calls.finished("a")
    assert [b""] == seen


async def test_a_body_without_end_is_cut_off(
    memory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of gigabytes a little is read, however fast they come."""
    monkeypatch.setattr(_sending, "_BODY_SECONDS", 3600)
    is_cut = Event()

    def script(connection: socket.socket, receiver: RawReceiver) -> None:
        connection.sendall(OK + b"Content-Length: 99999999999\r\n\r\n")
        try:
            while not receiver.is_over.is_set():
                connection.sendall(bytes(1 << 16))
        except OSError:
            is_cut.set()

    with raw_receiving(script, GONE_AT_ALL) as receiver:
        async with calling(memory) as calls:
            assert TOLD == await told(calls, receiver)
            await until(is_cut.is_set)


async def test_retry_after_counts_without_a_body(
    memory: str, clock: DeadlineClock
) -> None:
    """A pause that a receiver asks for is in the head of its answer."""
    busy = saying(b"HTTP/1.1 503 Busy\r\nRetry-After: 1800\r\n" + CUT)
    with raw_receiving(busy, NO_CONTENT) as receiver:
        async with calling(memory) as calls:
            promise = await calls.promises.create("a", notify=[receiver.url])
            await promise.resolve(1)
            (job,) = calls.callbacks._jobs
            await until(lambda: job.failures and not job.is_running)
            pause = calls.callbacks._queue.pause(clock.now.timestamp())
            clock.advance(timedelta(seconds=1800))
            await calls.finished("a")

    assert pause is not None
    assert 1700 < pause <= 1800


@pytest.mark.parametrize("before", [b"100 Continue", b"103 Early Hints"])
async def test_what_comes_before_an_answer_is_none(memory: str, before: bytes) -> None:
    """Statuses of 1xx are passed over, however many they are."""
    hints = b"HTTP/1.1 " + before + b"\r\nLink: </a>\r\n\r\n"
    with raw_receiving(saying(*[hints] * 20, OK + CUT), GONE_AT_ALL) as receiver:
        async with calling(memory) as calls:
            assert TOLD == await told(calls, receiver)


def endless(connection: socket.socket, receiver: RawReceiver) -> None:
    """Send headers, and never the end of them."""
    connection.sendall(OK)
    while not receiver.is_over.is_set():
        connection.sendall(b"X-More: " + b"x" * 1000 + b"\r\n")


def hinting(connection: socket.socket, receiver: RawReceiver) -> None:
    """Send answers of 1xx, and never the one that counts."""
    while not receiver.is_over.wait(0.001):
        connection.sendall(b"HTTP/1.1 102 Processing\r\n\r\n")


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (endless, "RemoteProtocolError"),
        (hinting, "no answer in 0.2 s"),
        (saying(OK, b"X-A: b\r\n", then_wait=True), "no answer in 0.2 s"),
        (saying(OK, b"X-A: b\r\n"), "RemoteProtocolError"),
        (saying(b"no HTTP\r\n\r\n"), "RemoteProtocolError"),
        (saying(b"HTTP/1.1 101 Switching Protocols\r\n\r\n"), "RemoteProtocolError"),
    ],
    ids=["endless", "only 1xx", "silent", "cut", "garbage", "101"],
)
async def test_a_head_without_end_is_no_answer(
    memory: str,
    clock: DeadlineClock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    script: Script,
    reason: str,
) -> None:
    """It ends at its bounds, of size and of time, and the receiver is asked again."""
    monkeypatch.setattr(_sending, "ATTEMPT_SECONDS", 0.2)
    caplog.set_level(logging.WARNING)
    with raw_receiving(script, NO_CONTENT) as receiver:
        async with calling(memory) as calls:
            promise = await calls.promises.create("a", notify=[receiver.url])
            await promise.resolve(1)
            (job,) = calls.callbacks._jobs
            await until(lambda: job.failures and not job.is_running)
            monkeypatch.undo()
            clock.advance(timedelta(seconds=1))
            (outcome,) = await calls.finished("a")

    assert dp.Resolved(b'{"status":204}') == outcome
    assert reason in caplog.text


async def test_a_stop_keeps_what_was_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that ends while it reads a body keeps first who was told."""
    monkeypatch.setattr(_sending, "_BODY_SECONDS", 60)
    url = f"sqlite:{tmp_path}/promises.db"
    with raw_receiving(saying(OK + CUT, then_wait=True)) as receiver:
        async with calling(url) as calls:
            promise = await calls.promises.create("a", notify=[receiver.url])
            await promise.resolve(1)
            await until(lambda: calls.callbacks._sender._reading)
        async with dp.connect(url) as promises:
            (delivery,) = await deliveries(promises)

    assert dp.Resolved({"status": 200}) == delivery.state
