"""Event streams under attack: those that nobody reads, and thousands of them."""

from __future__ import annotations

import json
import socket
from typing import Final

from support.server.attackers import Victim, all_open, until, victim

MIB: Final = 2**20
STREAMS: Final = 2000


def watch(server: Victim, *ids: str) -> bytes:
    """Return the bytes of a request for an event stream."""
    return server.request("/watch", json.dumps({"promiseIds": ids}).encode())


def hear(stream: socket.socket, text: bytes) -> bytes:
    """Return what comes, up to some text."""
    heard = b""
    while text not in heard:
        piece = stream.recv(65536)
        assert piece, heard
        heard += piece
    return heard


def test_streams_that_nobody_reads_cost_a_bounded_buffer() -> None:
    """Twelve megabytes are told on each: little is kept, and they are given up."""
    ids = [f"{n}" for n in range(200)]
    calls = [{"op": "resolve", "promiseId": id, "value": "x" * 60_000} for id in ids]
    with victim(settings={"send_seconds": 2}) as server:
        at_rest, before = server.files_at_rest(), server.memory()
        with all_open(server.connect() for _ in range(20)) as streams:
            for stream in streams:
                stream.sendall(watch(server, *ids))
                hear(stream, b":\n\n")
            for some in calls[:100], calls[100:]:
                assert 200 == server.ask("/batch", json.dumps(some).encode())[0]
            assert 200 == server.ask("/promises/honest/resolve", b"1")[0]
            until(lambda: server.files() <= at_rest)
            # What was kept is not given back to the system at once.
            grown = server.memory() - before
        assert (200, b'{"value":1}') == server.ask("/promises/honest/peek")

    # Less than half of what was told on them.
    assert grown < 120 * MIB


def test_thousands_of_streams_are_each_told() -> None:
    """They hear of one settle; others are served while they wait."""
    with victim() as server:
        request = watch(server, "x")
        with all_open(server.connect() for _ in range(STREAMS)) as streams:
            for stream in streams:
                stream.sendall(request)
            for stream in streams:
                hear(stream, b":\n\n")
            assert 200 == server.ask("/promises/honest/resolve", b"1")[0]
            assert 200 == server.ask("/promises/x/resolve", b"17")[0]
            told = {b'"value":17}' in hear(s, b"\r\n0\r\n\r\n") for s in streams}

    assert {True} == told
