"""Limits of each kind: what peers can make a server hold, and for how long."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from dp_core.server import Settings
from support.server.attackers import (
    SECONDS,
    Victim,
    all_open,
    answer,
    received,
    until,
    victim,
)

MIB: Final = 2**20
AWAIT: Final = "/promises/x/await"
HELD: Final = "Prefer: wait=600"

TURNS: Final = 50
"""How often others are answered, while a peer that could be read on is not."""

NEVER: Final = 600
"""Seconds that are over long after a test has failed."""


def is_served(server: Victim) -> None:
    """An honest client gets through, on a connection of its own."""
    assert 200 == server.ask("/promises/honest/resolve", b"1")[0]


def fill(server: Victim, stream: socket.socket, text: bytes, most: int) -> int:
    """
    Send and never read, until nothing more is taken; return how much was.

    That is so when others were answered again and again, and nothing was taken
    meanwhile.
    """
    stream.settimeout(0)
    sent = answered = 0
    while sent < most and answered < TURNS:
        try:
            sent += stream.send(text)
            answered = 0
        except BlockingIOError:
            server.ask("/promises/honest/peek")
            answered += 1
        except ConnectionError:
            break
    return sent


# Queues, before anybody has shown a token (row 3) ----------------------------


@pytest.mark.parametrize("what", ["GET", "peek", "await", "401"])
def test_requests_that_nobody_reads_the_answers_of_cost_nothing(what: str) -> None:
    """20 MB of pipelined requests are not read on; others are served meanwhile."""
    token = {"DP_TOKEN": "t" * 40} if what == "401" else {}
    with victim(env=token) as server, server.connect() as stream:
        one = {
            "GET": server.head("/", method="GET") + b"\r\n",
            "peek": server.request("/promises/x/peek"),
            "await": server.request(AWAIT),
            "401": server.request("/promises/x/resolve", b"1"),
        }[what]
        before = server.memory()
        sent = fill(server, stream, one * 500, 20 * MIB)
        grown = server.memory() - before
        if what == "401":
            assert 401 == server.ask("/promises/x/peek")[0]
        else:
            is_served(server)
        server.stop()

    assert sent < 20 * MIB
    assert grown < 16 * MIB


def test_ten_connections_cost_ten_times_little() -> None:
    """The memory of a connection is bounded, however many bytes wait in it."""
    with victim() as server:
        one = server.head("/", method="GET") + b"\r\n"
        with all_open(server.connect() for _ in range(10)) as streams:
            before = server.memory()
            for stream in streams:
                fill(server, stream, one * 500, 2 * MIB)
            grown = server.memory() - before
            is_served(server)

    assert grown < 24 * MIB


# Heads and bodies ------------------------------------------------------------


@pytest.mark.parametrize("text", [b"X: y\r\n", b"x" * 1000, b"\r\n"])
def test_a_head_has_an_end(text: bytes) -> None:
    """Headers without end, one without end, or empty lines, are not read for ever."""
    with victim("--idle-seconds", "2") as server, server.connect() as stream:
        before = server.memory()
        if text != b"\r\n":
            stream.sendall(server.head("/promise/peek") + b"X: ")
        with contextlib.suppress(ConnectionError):
            for _ in range(100 * MIB // len(text) // 1000):
                stream.sendall(text * 1000)
        grown = server.memory() - before
        is_served(server)

    assert grown < 16 * MIB


def share_of_cpu(server: Victim, seconds: float) -> float:
    """Return the part of one CPU that it uses, measured for a time."""
    cpu, began = server.cpu(), time.monotonic()
    time.sleep(seconds)
    return (server.cpu() - cpu) / (time.monotonic() - began)


def drip(stream: socket.socket, text: bytes) -> None:
    """Send a byte at a time until the peer has had enough."""
    for at in range(len(text)):
        try:
            stream.sendall(text[at : at + 1])
            stream.settimeout(0.02)
            if not stream.recv(1000):
                return
        except TimeoutError:
            continue
        except OSError:
            # A reset: there was a byte that nobody had read when the peer closed.
            return
    pytest.fail("nobody had enough")


@pytest.mark.parametrize("first", ["nothing", "half a head", "a whole request"])
def test_a_slow_head_is_ended(first: str) -> None:
    """A head has a time in all, whatever trickles in; so has silence."""
    with victim("--idle-seconds", "1") as server, server.connect() as stream:
        if first == "half a head":
            stream.sendall(server.head("/promise/peek"))
        if first == "a whole request":
            stream.sendall(server.request("/promises/x/peek"))
            assert 200 == answer(stream)[0]
        drip(stream, b"X-Slow: " + b"y" * 10_000)
        is_served(server)


@pytest.mark.parametrize(
    "framing", ["Content-Length: 1000", "Transfer-Encoding: chunked"]
)
@pytest.mark.parametrize("slow", [False, True])
def test_a_body_that_does_not_come_is_not_waited_for(framing: str, slow: bool) -> None:
    """A head without its body, or with a trickle, is answered 408 and let go."""
    with victim(settings={"body_seconds": 1}) as server, server.connect() as stream:
        stream.sendall(server.head("/promises/x/resolve", framing) + b"\r\n")
        if slow and framing.startswith("Content-Length"):
            for _ in range(5):
                stream.sendall(b"1")
        status, _ = answer(stream)

        assert 408 == status
        assert b"" == received(stream)
        assert (200, b"null") == server.ask("/promises/x/peek")


def test_an_idle_connection_outlives_the_balancers() -> None:
    """By default silence may last longer than the 60 s of common balancers."""
    assert Settings().idle_seconds >= 75


def test_an_endless_body_of_who_is_refused_is_not_swallowed() -> None:
    """After a 401 an endless body is read to the size of a good one, and no further."""
    with victim(env={"DP_TOKEN": "t" * 40}) as server, server.connect() as stream:
        stream.sendall(
            server.head("/promises/x/resolve", "Transfer-Encoding: chunked") + b"\r\n"
        )
        chunk = b"10000\r\n%b\r\n" % (b"x" * 65536)
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < 200 * MIB:
                stream.sendall(chunk)
                sent += len(chunk)

    assert sent < 20 * MIB


@pytest.mark.parametrize("size", [10, 100_000, MIB])
def test_who_is_refused_can_read_why(size: int) -> None:
    """A body of any good size does not get between a client and its 401."""
    with victim(env={"DP_TOKEN": "t" * 40}) as server:
        for _ in range(20):
            status, said = server.ask("/promises/x/resolve", b'"%b"' % (b"x" * size))

            assert 401 == status
            assert b"token" in said


# Peers that never read (row 4), or said only half a goodbye ------------------


def test_a_peer_that_never_reads_is_given_up() -> None:
    """Who takes nothing of what it asked for is aborted, and costs nothing then."""
    with victim(settings={"send_seconds": 2}) as server:
        value = b'"%b"' % (b"x" * (MIB - 2))
        assert 200 == server.ask("/promises/x/resolve", value)[0]
        at_rest = server.files_at_rest()
        request = server.request("/promises/x/peek") * 8
        with all_open(server.connect() for _ in range(50)) as streams:
            # The connection that has asked may have been open yet when it was counted.
            until(lambda: server.files() >= at_rest + 49)
            for stream in streams:
                stream.sendall(request)
            is_served(server)
            # They are still there, acknowledge what the kernel asks, and never read.
            until(lambda: server.files() <= at_rest)
        is_served(server)


def test_a_slow_reader_gets_all_of_it() -> None:
    """Who reads, however slowly, is not aborted."""
    with victim() as server:
        value = b'"%b"' % (b"x" * (MIB - 2))
        server.ask("/promises/x/resolve", value)
        with server.connect() as stream:
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            stream.sendall(server.request("/promises/x/peek"))
            status, body = answer(stream)

    assert (200, MIB + 10) == (status, len(body))


@pytest.mark.parametrize("path", ["/promises/x/await", "/promises/x/peek", "nothing"])
def test_half_a_goodbye_leaves_nothing_behind(path: str) -> None:
    """A peer that closes its sending half, and never the other, keeps no place."""
    with victim() as server:
        is_served(server)
        at_rest = server.files_at_rest()
        with all_open(server.connect() for _ in range(50)) as streams:
            for stream in streams:
                if path != "nothing":
                    stream.sendall(server.request(path))
                stream.shutdown(socket.SHUT_WR)
            until(lambda: server.files() <= at_rest)
        is_served(server)


# Waits (row 2) ---------------------------------------------------------------


@pytest.mark.parametrize("behind", ["peek", "await", "half a head", "garbage"])
def test_hidden_departures_cost_no_honest_waiter_its_place(behind: str) -> None:
    """However many leave behind a pipelined request, who comes after them can wait."""
    with victim(files=200) as server:
        more = {
            "peek": server.request("/promises/x/peek"),
            "await": server.request("/promises/y/await"),
            "half a head": server.head("/promises/x/peek"),
            "garbage": b"\0\r\n\r\n",
        }[behind]
        for _ in range(400):
            with server.connect() as stream:
                stream.sendall(server.request(AWAIT) + more)
        with server.connect() as honest:
            honest.sendall(server.request(AWAIT, b"", HELD))
            until(lambda: server.ask("/promises/x/peek")[0] == 200)
            is_served(server)
            assert 200 == server.ask("/promises/x/resolve", b'"done"')[0]

            assert (200, b'{"value":"done"}') == answer(honest)


# Descriptors (row 5) ---------------------------------------------------------


@pytest.mark.parametrize("say", [b"", b"POST /", b"GET / HTTP/1.1\r\nHost: "])
def test_more_connections_than_descriptors(tmp_path: Path, say: bytes) -> None:
    """Idle connections beyond the limit of files cost nothing; others are served."""
    began = time.monotonic()
    with victim(url=f"file:{tmp_path}/p", files=256) as server:
        is_served(server)
        with all_open(server.connect() for _ in range(400)) as streams:
            for stream in streams:
                if say:
                    with contextlib.suppress(ConnectionError):
                        stream.sendall(say)
            for number in range(5):
                path = f"/promises/{number}/resolve"
                assert (200, b'{"value":1}') == server.ask(path, b"1")
            # Sooner or later it rests. A loop without a pause never does.
            until(lambda: share_of_cpu(server, 1) < 0.2)
        log = server.stop()

    # One a minute, and what else there was at the end.
    assert 1 <= log.count("\n") <= 2 + (time.monotonic() - began) // 60
    assert log.startswith("all 192 connections were in use")
    assert "ulimit -n" in log


def test_the_limit_of_files_is_never_reached(tmp_path: Path) -> None:
    """Whatever comes, the store can open its files."""
    with (
        victim(url=f"file:{tmp_path}/p", files=128) as server,
        all_open(server.connect() for _ in range(300)),
    ):
        for number in range(50):
            path = f"/promises/{number}/resolve"
            assert (200, b'{"value":1}') == server.ask(path, b"1")
            assert server.files() < 128


# Stopping --------------------------------------------------------------------

LOADS: Final = {
    "nothing else": lambda server, stream: None,
    "silence": lambda server, stream: None,
    "half a head": lambda server, stream: stream.sendall(server.head("/promise/peek")),
    "half a body": lambda server, stream: stream.sendall(
        server.head("/promises/x/resolve", "Content-Length: 100") + b"\r\n12"
    ),
    "requests unread": lambda server, stream: fill(
        server, stream, server.request("/promises/x/peek") * 500, 2 * MIB
    ),
    "answers unread": lambda server, stream: stream.sendall(
        server.request("/promises/large/peek") * 8
    ),
    "waits behind waits": lambda server, stream: stream.sendall(
        server.request(AWAIT) * 5
    ),
}


UNFINISHED: Final = ("half a head", "half a body", "requests unread", "answers unread")
"""Loads that may take the grace time: what was begun may still be completed."""


@pytest.mark.parametrize("load", LOADS)
def test_a_stop_with_a_thousand_waiters(load: str) -> None:
    """
    SIGTERM ends it under each load, and all who wait are answered.

    Only who has not finished a request, or not read its answer, is waited for, and for
    the grace time: no other limit is near.
    """
    act: Callable[[Victim, socket.socket], object] = LOADS[load]
    limits = dict.fromkeys(("idle_seconds", "body_seconds", "send_seconds"), NEVER)
    grace = {"grace_seconds": 10 if load in UNFINISHED else NEVER}
    with victim(settings={**limits, **grace}) as server:
        value = b'"%b"' % (b"x" * (MIB - 2))
        assert 200 == server.ask("/promises/large/resolve", value)[0]
        at_rest = server.files_at_rest()
        with (
            all_open(server.connect() for _ in range(1000)) as waiters,
            all_open(server.connect() for _ in range(20)) as others,
        ):
            for stream in waiters:
                stream.sendall(server.request(AWAIT))
            if load != "nothing else":
                for stream in others:
                    act(server, stream)
            until(lambda: server.files() >= at_rest + 1000)
            assert 200 == server.ask("/promises/y/resolve", b"1")[0]
            server.process.terminate()
            answers = {answer(stream)[0] for stream in waiters}
            code = server.process.wait(SECONDS)

    assert 0 == code
    assert {503} == answers
