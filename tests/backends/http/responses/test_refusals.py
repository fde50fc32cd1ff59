"""What is refused: bytes that can be read in two ways, or that never end."""

from __future__ import annotations

import pytest

from dp_backends.http import _responses
from dp_backends.http._responses import MalformedResponseError, ResponseReader
from support.http import CHUNKED, CONTINUE, EARLY, NULL, OK, raw_answer, read


def refusal(data: bytes, piece: int = 2**20) -> str:
    """Return why *data* is refused."""
    with pytest.raises(MalformedResponseError) as error:
        read(data, piece)
    return error.value.reason


# What is refused ------------------------------------------------------------


NOT_HTTP = {
    "SSH": b"SSH-2.0-OpenSSH_9.2\r\n",
    "TLS alert": b"\x15\x03\x01\x00\x02\x02\x46",
    "RTSP": NULL.replace(b"HTTP", b"RTSP"),
    "ICE": NULL.replace(b"HTTP", b"ICE"),
    "lower case": NULL.replace(b"HTTP", b"http"),
    "HTTP/2.0": NULL.replace(b"1.1", b"2.0"),
    "HTTP/0.9": NULL.replace(b"1.1", b"0.9"),
    "line end first": b"\r\n" + NULL,
}

STATUS_LINES = {
    "HTTP/1.2": NULL.replace(b"1.1", b"1.2"),
    "HTTP/1.1x": NULL.replace(b"1.1", b"1.1x"),
    "two digits": NULL.replace(b"200", b"20"),
    "four digits": NULL.replace(b"200", b"2000"),
    "two spaces": NULL.replace(b" 200", b"  200"),
    "status 0": NULL.replace(b"200", b"000"),
    "status 99": NULL.replace(b"200", b"099"),
    "switched": b"HTTP/1.1 101 X\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n",
    "switched, unsaid": b"HTTP/1.1 101 X\r\n\r\n" + NULL,
    "103 of 0.9": CONTINUE + EARLY.replace(b"1.1", b"0.9") + NULL,
    "103 of 2.0": EARLY + EARLY.replace(b"1.1", b"2.0") + NULL,
}

LENGTHS = {
    "twice": raw_answer(200, b"null", b"Content-Length: 4"),
    "twice, differing": raw_answer(200, b"null", b"content-length: 5"),
    "list": OK + b"Content-Length: 4, 4\r\n\r\nnull",
    "list, differing": OK + b"Content-Length: 4, 5\r\n\r\nnull",
    "sign": OK + b"Content-Length: +4\r\n\r\nnull",
    "negative": OK + b"Content-Length: -4\r\n\r\nnull",
    "hexadecimal": OK + b"Content-Length: 0x4\r\n\r\nnull",
    "two numbers": OK + b"Content-Length: 4 4\r\n\r\nnull",
    "empty": OK + b"Content-Length:\r\n\r\nnull",
    "overflow": OK + b"Content-Length: 18446744073709551620\r\n\r\nnull",
    "folded": OK + b"Content-Length: 4\r\n 2\r\n\r\nnull",
}

CODINGS = {
    "and a length": raw_answer(200, b"0\r\n\r\n", b"Transfer-Encoding: chunked"),
    "before a length": CHUNKED[:-2] + b"Content-Length: 5\r\n\r\n0\r\n\r\n",
    "identity and a length": raw_answer(200, b"null", b"Transfer-Encoding: identity"),
    "length in the trailer": CHUNKED + b"0\r\nContent-Length: 5\r\n\r\n",
    **{
        coding.decode(): OK + b"Transfer-Encoding: " + coding + b"\r\n\r\n0\r\n\r\n"
        for coding in (
            b"gzip",
            b"identity",
            b"xchunked",
            b"chunked, gzip",
            b"gzip, chunked",
            b"chunked, chunked",
            b"chunked\r\nTransfer-Encoding: chunked",
            b"gzip\r\nTransfer-Encoding: chunked",
        )
    },
    "HTTP/1.0": CHUNKED.replace(b"1.1", b"1.0") + b"0\r\n\r\n",
    "HTTP/1.0, kept": CHUNKED.replace(b"1.1", b"1.0")[:-2]
    + b"Connection: keep-alive\r\n\r\n0\r\n\r\n",
}

HEADER_BYTES = {
    "folded by space": raw_answer(200, b"null", b"a: b", b" c"),
    "folded by tab": raw_answer(200, b"null", b"a: b", b"\tc"),
    "folded at once": raw_answer(200, b"null", b"a:", b" c"),
    "folded first": OK + b" a: b\r\nContent-Length: 4\r\n\r\nnull",
    "LF": NULL.replace(b"\r\n", b"\n"),
    "LF after the head": OK + b"Content-Length: 4\r\n\nnull",
    "LF in a field": raw_answer(200, b"null", b"a: b\nc: d"),
    "CR in a field": raw_answer(200, b"null", b"a: b\rc: d"),
    "NUL in a value": raw_answer(200, b"null", b"a: \0"),
    "DEL in a value": raw_answer(200, b"null", b"a: \x7f"),
    "NUL in a name": raw_answer(200, b"null", b"a\0: b"),
    "space before the colon": raw_answer(200, b"null", b"a : b"),
    "space in the length's name": OK + b"Content-Length : 4\r\n\r\nnull",
    "no name": raw_answer(200, b"null", b": b"),
    "no colon": raw_answer(200, b"null", b"a"),
    "not a token": raw_answer(200, b"null", b"a(b: c"),
}

CHUNKS = {
    name: CHUNKED + chunks
    for name, chunks in {
        "negative": b"-4\r\nnull\r\n0\r\n\r\n",
        "0x": b"0x4\r\nnull\r\n0\r\n\r\n",
        "empty": b"\r\nnull\r\n0\r\n\r\n",
        "not a number": b"four\r\nnull\r\n0\r\n\r\n",
        "space": b"4 \r\nnull\r\n0\r\n\r\n",
        "overflow": b"10000000000000004\r\nnull\r\n0\r\n\r\n",
        "too short": b"3\r\nnull\r\n0\r\n\r\n",
        "no line end": b"4\r\nnull0\r\n\r\n",
        "LF after the size": b"4\nnull\r\n0\r\n\r\n",
        "LF after the data": b"4\r\nnull\n0\r\n\r\n",
        "LF in an extension": b"4;a\nb\r\nnull\r\n0\r\n\r\n",
        "LF at the end": b"4\r\nnull\r\n0\r\n\n",
    }.items()
}

REFUSED = {
    f"{subject}: {name}": data
    for subject, table in {
        "not HTTP/1": NOT_HTTP,
        "status line": STATUS_LINES,
        "length": LENGTHS,
        "coding": CODINGS,
        "header bytes": HEADER_BYTES,
        "chunk": CHUNKS,
    }.items()
    for name, data in table.items()
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("piece", [1, 1000])
def test_what_could_be_read_in_two_ways_is_refused(name: str, piece: int) -> None:
    """Another program on the way may have read it in another way, or been cut."""
    assert refusal(REFUSED[name], piece)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "it says 'SSH-2.0-OpenSSH_9.2\\r\\n'"),
        (b"\xff" * 100, f"it says {'�' * 80!r}"),
        (CHUNKED.replace(b"chunked", b"br"), "its Transfer-Encoding is 'br'"),
        (b"HTTP/1.1 101 X\r\n\r\n", "its status is 101"),
        (b"HTTP/1.1 007 X\r\n\r\n", "its status is 007"),
        (raw_answer(200, b"null", b"Content-Length: 4"), "Duplicate Content-Length"),
    ],
)
def test_a_refusal_says_why(data: bytes, reason: str) -> None:
    """A reason tells the owner of the server, or of the proxy, what to mend."""
    assert reason == refusal(data)


def test_what_is_raised_in_a_callback_is_not_the_peers_fault() -> None:
    """On trio, Ctrl-C may be raised anywhere, and must not look like nonsense."""

    class Interrupted(ResponseReader):
        def on_header(self, name: bytes, value: bytes) -> None:
            raise KeyboardInterrupt

    for data in (NULL, CHUNKED):
        with pytest.raises(KeyboardInterrupt):
            Interrupted().feed(data)


# What would never end -------------------------------------------------------


ENDLESS = {
    "name": (OK, b"a"),
    "value": (OK + b"a: ", b"b"),
    "fields": (OK, b"a: b\r\n"),
    "reason": (b"HTTP/1.1 200 ", b"a"),
    "interim responses": (b"", CONTINUE),
    "body": (CHUNKED, b"4\r\nnull\r\n"),
    "one chunk": (CHUNKED + b"fffffff\r\n", b"null"),
    "chunk extension": (CHUNKED + b"4;", b"a"),
    "chunk extensions": (CHUNKED, b"1;" + b"a" * 100 + b"\r\nx\r\n"),
    "trailer": (CHUNKED + b"0\r\n", b"a: b\r\n"),
    "name in the trailer": (CHUNKED + b"0\r\n", b"a"),
}


@pytest.mark.parametrize("name", ENDLESS)
@pytest.mark.parametrize("piece", [10, 333])
def test_what_never_ends_is_refused_while_it_arrives(
    name: str, piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No peer makes us keep, or read, more than the limits say."""
    monkeypatch.setattr(_responses, "MAX_HEAD_BYTES", 500)
    monkeypatch.setattr(_responses, "MAX_BODY_BYTES", 1000)
    begin, more = ENDLESS[name]

    assert "it is too long" == refusal(begin + more * (3000 // len(more)), piece)


@pytest.mark.parametrize("length", [1001, 10**18])
def test_a_body_announced_as_too_long_is_not_waited_for(
    length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its length is refused before any of it is there."""
    monkeypatch.setattr(_responses, "MAX_BODY_BYTES", 1000)

    assert "it is too long" == refusal(OK + b"Content-Length: %d\r\n\r\n" % length)


@pytest.mark.parametrize("chunks", [(b"x" * 1001,), (b"x" * 500, b"x" * 501)])
def test_a_body_in_chunks_that_is_too_long_is_refused(
    chunks: tuple[bytes, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody says how long it will be, so what is there is counted."""
    monkeypatch.setattr(_responses, "MAX_HEAD_BYTES", 500)
    monkeypatch.setattr(_responses, "MAX_BODY_BYTES", 1000)
    parts = [b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in (*chunks, b"")]

    assert "it is too long" == refusal(CHUNKED + b"".join(parts))


def test_the_largest_head_and_body_are_read() -> None:
    """The limits are no smaller than they say."""
    value = b"b" * (_responses.MAX_HEAD_BYTES - 100)
    long = raw_answer(200, b"x" * 10**6, b"a: " + value)
    found = read(long, 65536)

    assert found is not None
    assert (10**6, value) == (len(found.body), found.headers[b"a"])
