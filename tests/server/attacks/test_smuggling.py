"""Requests with two readings, sent through proxies: none gets past what they refuse."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from support.server.attackers import SECONDS, Victim, answer, received, victim
from support.server.proxies import behind

# Whoever does not finish a request, or asks nothing more, is let go after a second.
NGINX: Final = """
client_header_timeout 1s; client_body_timeout 1s; keepalive_timeout 1s;
location /promises/forbidden { deny all; }
"""
HAPROXY: Final = """
  timeout client 1s
  timeout http-request 1s
  timeout http-keep-alive 1s
  http-request deny if { path_beg /promises/forbidden }
"""
FRONTS: Final = {
    "nginx": ("nginx", NGINX),
    "nginx that passes on what it can": (
        "nginx",
        NGINX + "proxy_request_buffering off; ignore_invalid_headers off; "
        "underscores_in_headers on; merge_slashes off;",
    ),
    "haproxy": ("haproxy", HAPROXY),
    "haproxy that passes on what it can": (
        "haproxy",
        HAPROXY + "  option accept-invalid-http-request\n",
    ),
}

CHUNKED: Final = "Transfer-Encoding: chunked"
LENGTH: Final = "Content-Length: LENGTH"

# Each is a head of which one reading has the length, and another one chunks.
TWO_FRAMINGS: Final = {
    "length, chunks": f"{LENGTH}\r\n{CHUNKED}",
    "chunks, length": f"{CHUNKED}\r\n{LENGTH}",
    "a coding that nobody knows": f"{LENGTH}\r\nTransfer-Encoding: xchunked",
    "chunks, and not at the end": f"{LENGTH}\r\nTransfer-Encoding: chunked, identity",
    "chunks behind another": f"{LENGTH}\r\nTransfer-Encoding: identity, chunked",
    "chunks twice": f"{LENGTH}\r\nTransfer-Encoding: chunked, chunked",
    "chunks in two lines": f"{LENGTH}\r\n{CHUNKED}\r\nTransfer-Encoding: identity",
    "chunks, empty, in two lines": f"{LENGTH}\r\nTransfer-Encoding:\r\n{CHUNKED}",
    "a space before the colon": f"{LENGTH}\r\nTransfer-Encoding : chunked",
    "a tab before the colon": f"{LENGTH}\r\nTransfer-Encoding\t: chunked",
    "a vertical tab": f"{LENGTH}\r\nTransfer-Encoding:\x0bchunked",
    "a form feed at the end": f"{LENGTH}\r\nTransfer-Encoding: chunked\x0c",
    "a NUL": f"{LENGTH}\r\nTransfer-Encoding: chunked\0",
    "quotes": f'{LENGTH}\r\nTransfer-Encoding: "chunked"',
    "a parameter": f"{LENGTH}\r\nTransfer-Encoding: chunked;q=1",
    "capitals": f"{LENGTH}\r\nTRANSFER-ENCODING: CHUNKED",
    "an underscore": f"{LENGTH}\r\nTransfer_Encoding: chunked",
    "another byte": f"{LENGTH}\r\nTransfer-Encoding: chunked\xa0",
    "a folded name": f"{LENGTH}\r\nX: y\r\n {CHUNKED}",
    "a folded value": f"{LENGTH}\r\nTransfer-Encoding:\r\n chunked",
    "a folded value with a tab": f"{LENGTH}\r\nTransfer-Encoding:\r\n\tchunked",
    "a folded length": f"{CHUNKED}\r\nContent-Length:\r\n LENGTH",
    "a line end of LF": f"{LENGTH}\r\nX: y\n{CHUNKED}",
    "a line end of CR": f"{LENGTH}\r\nX: y\r{CHUNKED}",
    "a line without a colon": f"{LENGTH}\r\nX\r\n{CHUNKED}",
    "a space before the name": f" {CHUNKED}\r\n{LENGTH}",
    "announced as hop by hop": f"{LENGTH}\r\nConnection: Content-Length\r\n{CHUNKED}",
    "chunks hop by hop": f"{LENGTH}\r\nConnection: Transfer-Encoding\r\n{CHUNKED}",
    "an offer of HTTP/2": f"{LENGTH}\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n"
    f"HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n{CHUNKED}",
}

# Each is a head of which one reading has one byte of a body, another one all of it.
TWO_LENGTHS: Final = {
    "one, all": "Content-Length: 1\r\nContent-Length: LENGTH",
    "all, one": "Content-Length: LENGTH\r\nContent-Length: 1",
    "a list": "Content-Length: LENGTH, 1",
    "another list": "Content-Length: 1, LENGTH",
    "a list of one": "Content-Length: ,1",
    "a sign": "Content-Length: +1",
    "less than nothing": "Content-Length: -1\r\nContent-Length: LENGTH",
    "a hexadecimal": "Content-Length: 0x1",
    "an octal": "Content-Length: 01",
    "an underscore": "Content-Length: 1_0",
    "a blank inside": "Content-Length: 1 LENGTH",
    "a comment": "Content-Length: 1;LENGTH",
    "more than a word": "Content-Length: 18446744073709551617",
    "nothing": "Content-Length:\r\nContent-Length: LENGTH",
    "a NUL": "Content-Length: 1\0",
    "LF": "Content-Length: 1\nContent-Length: LENGTH",
    "a name with a space": "Content-Length : LENGTH\r\nContent-Length: 1",
    "a folded one": "Content-Length: 1\r\n LENGTH",
    "a go-ahead": "Expect: 100-continue\r\nContent-Length: LENGTH",
    "an odd go-ahead": "Expect: y 100-continue\r\nContent-Length: 1",
    "no length at all": "X: y",
}

# Each is chunks of which one reading ends before INNER, and another one behind it.
CHUNKS: Final = {
    "an extension": b"1;a=b\r\n1\r\n0;c\r\n\r\nINNER",
    "an extension that ends with LF": b"1;a\n1\r\n0\r\n\r\nINNER",
    "an extension with a line in it": b"1;a\nSIZE\r\n1\r\n0\r\n\r\nINNER",
    "a long extension": b"1;" + b"a" * 5000 + b"\r\n1\r\n0\r\n\r\nINNER",
    "an extension of CR": b"1;\rSIZE\r\n1\r\n0\r\n\r\nINNER",
    "line ends of LF": b"1\n1\n0\n\nINNER",
    "a line end of CR": b"1\r1\r\n0\r\n\r\nINNER",
    "no line end behind data": b"1\r\n10\r\n\r\nINNER",
    "two bytes for a line end": b"1\r\n1xx0\r\n\r\nINNER",
    "a sign": b"+1\r\n1\r\n0\r\n\r\nINNER",
    "a prefix": b"0x1\r\n1\r\n0\r\n\r\nINNER",
    "an underscore": b"0_1\r\n1\r\n0\r\n\r\nINNER",
    "a space before": b" 1\r\n1\r\n0\r\n\r\nINNER",
    "a space behind": b"1 \r\n1\r\n0 \r\n\r\nINNER",
    "zeros": b"000000000000000000001\r\n1\r\n0000\r\n\r\nINNER",
    "more than a word": b"10000000000000001\r\n1\r\n0\r\n\r\nINNER",
    "less than nothing": b"-1\r\n1\r\n0\r\n\r\nINNER",
    "no size": b"\r\n1\r\n0\r\n\r\nINNER",
    "a trailer with a length": b"1\r\n1\r\n0\r\nContent-Length: SIZE\r\n\r\nINNER",
    "a trailer with chunks": b"1\r\n1\r\n0\r\nTransfer-Encoding: chunked\r\n\r\nINNER",
    "a trailer without an end": b"1\r\n1\r\n0\r\nINNER",
    "a folded trailer": b"1\r\n1\r\n0\r\nX: y\r\n INNER",
    "a trailer with LF": b"1\r\n1\r\n0\r\nX: y\n\nINNER",
    "the last one is long": b"1\r\n1\r\n00;INNER",
}

OFFERS: Final = {
    "h2c": b"\r\nUpgrade: h2c",
    "a WebSocket": b"\r\nupgrade: websocket",
    "HTTP/2": b"\r\nHTTP2-Settings: AA",
}


@pytest.fixture(scope="module")
def server() -> Iterator[Victim]:
    """A server as users run it."""
    with victim() as server:
        yield server


def inner(server: Victim, id: str) -> bytes:
    """Return a request that proxies refuse, and the server behind them would not."""
    return server.request(f"/promises/forbidden-{id}/resolve", b"1")


def attacks(server: Victim) -> dict[str, tuple[str, bytes]]:
    """Return what is sent, and the id that it is to settle, by what it tries."""
    found: dict[str, tuple[str, bytes]] = {}

    def add(name: str, head: str, make: bytes) -> None:
        id = str(len(found))
        body = make.replace(b"INNER", inner(server, id))
        body = body.replace(b"SIZE", b"%x" % len(inner(server, id)))
        lines = head.replace("LENGTH", str(len(body)))
        path = f"/promises/open-{id}/resolve"
        found[name] = id, server.head(path, *lines.split("\r\n")) + b"\r\n" + body

    size = len(inner(server, "00"))
    for name, head in TWO_FRAMINGS.items():
        add(f"{name}: chunks end first", head, b"0\r\n\r\nINNER")
        short = head.replace("LENGTH", "4")
        wrapped = b"%x\r\nINNER\r\n0\r\n\r\n" % size
        add(f"{name}: the length ends first", short, wrapped)
        add(f"{name}: a value, then chunks", head, b"1\r\n1\r\n0\r\n\r\nINNER")
    for name, head in TWO_LENGTHS.items():
        add(f"two lengths: {name}", head, b"1INNER")
    for name, body in CHUNKS.items():
        add(f"chunks: {name}", CHUNKED, body)
    # As long as what is behind them would be, if a server changed each of them.
    for name, offer in OFFERS.items():
        offers = offer * ((size + 1) // 2)
        add(f"offers in a body: {name}", LENGTH, b" " * 200_000 + offers + b" INNER")
        chunk = b"%x\r\n%b\r\n" % (len(offers), offers)
        add(f"offers in a chunk: {name}", CHUNKED, chunk + b"0\r\n\r\nINNER")
    return found


def honest(front: int, server: Victim, number: int) -> None:
    """Somebody else, behind the same proxy, is answered what it has asked."""
    with socket.create_connection(("127.0.0.1", front), SECONDS) as stream:
        value = json.dumps(f"honest {number}").encode()
        stream.sendall(server.request(f"/promises/honest-{number}/resolve", value))

        assert (200, b'{"value":%b}' % value) == answer(stream)


@pytest.mark.parametrize("front", FRONTS)
def test_nothing_is_smuggled_past_a_proxy(
    server: Victim, front: str, tmp_path: Path
) -> None:
    """
    What a proxy refuses is not settled, however the request is framed in which it is.

    Nor is anybody else on the proxy's connections given another one's answer.
    """
    proxy, options = FRONTS[front]
    with behind(proxy, server.port, tmp_path, options=options) as url:
        port = int(url.rpartition(":")[2])
        refused = inner(server, front.replace(" ", "-"))
        with socket.create_connection(("127.0.0.1", port), SECONDS) as stream:
            stream.sendall(refused)
            assert 403 == answer(stream)[0]
        sent = attacks(server)
        streams = []
        try:
            for number, (_, attack) in enumerate(sent.values()):
                stream = socket.create_connection(("127.0.0.1", port), SECONDS)
                streams.append(stream)
                stream.sendall(attack)
                honest(port, server, number)
            for stream in streams:
                while received(stream):
                    pass
        finally:
            for stream in streams:
                stream.close()
        for number in range(20):
            honest(port, server, number)
    settled = [
        name
        for name, (id, _) in sent.items()
        if server.ask(f"/promises/forbidden-{id}/peek") != (200, b"null")
    ]

    assert [] == settled


def test_what_is_to_be_smuggled_would_settle(server: Victim) -> None:
    """Where it arrives as a request of its own, it is obeyed."""
    with server.connect() as stream:
        stream.sendall(inner(server, "directly"))
        assert (200, b'{"value":1}') == answer(stream)
