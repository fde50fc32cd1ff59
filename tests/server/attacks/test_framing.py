"""Bytes are what they were sent as: no cut, offer or framing makes others of them."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Final

import pytest

from support.server.attackers import SECONDS, Victim, answer, received, victim

OFFERS: Final = {
    "none": (),
    "h2c": (
        "Connection: Upgrade, HTTP2-Settings",
        "Upgrade: h2c",
        "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA",
    ),
    "h2c in capitals": ("CONNECTION: UPGRADE", "UPGRADE: H2C"),
    "a WebSocket": (
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ),
    "TLS": ("Connection: Upgrade", "Upgrade: TLS/1.2, h2c, foo/9"),
    "without its Connection": ("Upgrade: h2c",),
}
# Content that looks like heads, to whoever looks where there is none.
TEXT: Final = (
    "a\r\nUpgrade: h2c\r\n\r\nPOST /promises/smuggled/resolve HTTP/1.1\r\n"
    "Host: localhost:PORT\r\nContent-Type: application/json\r\n"
    "Content-Length: 1\r\n\r\n1"
)


@pytest.fixture(scope="module")
def server() -> Iterator[Victim]:
    """A server as users run it."""
    with victim() as server:
        yield server
        assert (200, b"null") == server.ask("/promises/smuggled/peek")


def text(server: Victim) -> tuple[bytes, bytes]:
    """Return a value of such text, as JSON whose line ends are white space in it."""
    value = TEXT.replace("PORT", str(server.port))
    lines = ["[", *value.split("\r\n"), "]"]
    # Between the items of an array, line ends are no part of a value.
    items = ",\r\n".join(json.dumps(line) for line in lines[1:-1])
    return f"[\r\n{items}\r\n]".encode(), json.dumps(lines[1:-1]).encode()


def chunked(body: bytes, size: int) -> bytes:
    """Return a body in chunks."""
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in [*parts, b""])


def stored(server: Victim, id: str) -> object:
    """Return the value of a promise."""
    return json.loads(server.ask(f"/promises/{id}/peek")[1])["value"]


@pytest.mark.parametrize("offer", OFFERS)
@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_a_request_cut_anywhere_is_the_same(
    server: Victim, offer: str, framing: str
) -> None:
    """With every offer and framing, a head or a body in pieces says what it says."""
    body, value = text(server)
    head = "Transfer-Encoding: chunked"
    sent = chunked(body, 7)
    if framing == "length":
        head, sent = f"Content-Length: {len(body)}", body
    name = f"{offer}-{framing}".replace(" ", "_")
    for number, step in enumerate((13, 29, 1000)):
        id = f"{name}-{number}"
        request = server.head(f"/promises/{id}/resolve", head, *OFFERS[offer])
        whole = request + b"\r\n" + sent
        pieces = [whole[at : at + step] for at in range(0, len(whole), step)]
        status, answered = server.send(*pieces)

        assert (200, json.loads(value)) == (status, json.loads(answered)["value"])
        assert json.loads(value) == stored(server, id)


@pytest.mark.parametrize("offer", OFFERS)
def test_an_offer_cut_at_every_byte_loses_nothing(server: Victim, offer: str) -> None:
    """Wherever the head of an offer is cut, the value that is kept is the one sent."""
    id = f"cut-{offer.replace(' ', '-')}"
    request = server.request(f"/promises/{id}/resolve", b'"v"', *OFFERS[offer])
    for at in range(1, len(request)):
        status, answered = server.send(request[:at], request[at:])

        assert (200, b'{"value":"v"}') == (status, answered)
        server.ask(f"/promises/{id}/dispose")


@pytest.mark.parametrize("lead", [b"\r\nUpgrade:", b"Upgrade: h2c\r\n", b"\r\n\r\n"])
def test_a_chunk_that_looks_like_a_head_is_data(server: Victim, lead: bytes) -> None:
    """What is in a chunk is content, whatever it begins with."""
    text = lead.decode() + " is data"
    body = json.dumps(text).encode()
    # A chunk begins with what was escaped, and one with what was not.
    raw = lead + body if not lead.strip() else body
    head = server.head("/promises/chunk/resolve", "Transfer-Encoding: chunked")
    status, _ = server.send(head + b"\r\n", *[chunked(raw, 8)])
    kept = stored(server, "chunk")
    server.ask("/promises/chunk/dispose")

    assert (200, text) == (status, kept)


def test_a_large_plain_text_body_is_no_second_request(server: Victim) -> None:
    """A page's no-cors body of 600 KB, in many segments, is one refused request."""
    inner = server.request("/promises/smuggled/resolve", b"1")
    padding = (b"\r\nUpgrade: x" * 50 + inner) * 400
    head = server.request("/promises/x/resolve", padding).replace(
        b"application/json", b"text/plain", 1
    )
    with server.connect() as stream:
        stream.sendall(head)
        status, _ = answer(stream)
        stream.settimeout(SECONDS)
        rest = stream.recv(1000)

    assert status in {413, 415}
    assert b"" == rest
    assert (200, b"null") == server.ask("/promises/smuggled/peek")


TWO_READINGS: Final = {
    "a length and chunks": "Content-Length: 5\r\nTransfer-Encoding: chunked",
    "two lengths": "Content-Length: 5\r\nContent-Length: 6",
    "a length with a sign": "Content-Length: +5",
    "lengths in a list": "Content-Length: 5, 6",
    "a coding that nobody knows": "Transfer-Encoding: xchunked",
    "chunks that are not last": "Transfer-Encoding: chunked, identity",
    "a space before the colon": "Transfer-Encoding : chunked",
    "a folded line": "Content-Length: 5\r\n Transfer-Encoding: chunked",
    "NUL in a value": "X: a\0b\r\nContent-Length: 5",
    "CR in a value": "X: a\rContent-Length: 5\r\nContent-Length: 5",
}


@pytest.mark.parametrize("case", TWO_READINGS)
def test_what_can_be_read_in_two_ways_ends_the_connection(
    server: Victim, case: str
) -> None:
    """Of a request with two readings, nothing behind it is taken for a request."""
    head = server.head("/promises/two/resolve", TWO_READINGS[case])
    inner = server.request("/promises/smuggled/resolve", b"1")
    with server.connect() as stream:
        stream.sendall(head + b"\r\n" + b"0\r\n\r\n" + inner)
        answered = b"".join(iter(lambda: received(stream), b""))

    assert 1 >= answered.count(b"HTTP/1.1 200")
    assert (200, b"null") == server.ask("/promises/smuggled/peek")


@pytest.mark.parametrize(
    "sent",
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0",
        b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + b"x" * 160,
        b"SSH-2.0-OpenSSH_9\r\n",
        b"\0" * 1000,
        b"EHLO localhost\r\n",
        b"GET /\r\n\r\n",
    ],
)
def test_another_protocol_is_sent_away(server: Victim, sent: bytes) -> None:
    """Whoever does not speak HTTP/1 is told so, or nothing, and let go."""
    with server.connect() as stream:
        stream.sendall(sent)
        stream.shutdown(socket.SHUT_WR)
        answered = b"".join(iter(lambda: received(stream), b""))

    assert b"" == answered or answered.startswith(b"HTTP/1.1 400")
    assert (200, b"null") == server.ask("/promises/smuggled/peek")
