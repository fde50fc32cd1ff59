"""The reader of HTTP responses: what it takes, and what it refuses."""

from __future__ import annotations

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dp_backends.http import _responses
from dp_backends.http._responses import (
    HttpResponse,
    MalformedResponseError,
    ResponseReader,
)
from support.http_faults import raw_answer

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\n"
NULL = raw_answer(200, b"null")
EARLY = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def response(
    status: int, body: bytes, /, *, reusable: bool = True, **headers: bytes
) -> HttpResponse:
    """Return a response; ``_`` in the name of a header stands for ``-``."""
    names = {name.replace("_", "-").encode(): value for name, value in headers.items()}
    return HttpResponse(status, names, body, reusable)


FORMS = {
    "length": (NULL, response(200, b"null", content_length=b"4")),
    "empty": (raw_answer(200, b""), response(200, b"", content_length=b"0")),
    "line ends": (
        raw_answer(200, b"null\r\n\n"),
        response(200, b"null\r\n\n", content_length=b"7"),
    ),
    "failure": (
        raw_answer(503, b'{"code":503}', b"Retry-After: 1"),
        response(503, b'{"code":503}', content_length=b"12", retry_after=b"1"),
    ),
    "fields": (
        raw_answer(200, b"", b"x-a: \t", b"X-B:a: b \t", b"X-b: c", b"X-C: \xff"),
        response(200, b"", content_length=b"0", x_a=b"", x_b=b"a: b, c", x_c=b"\xff"),
    ),
    "no reason": (
        b"HTTP/1.1 200\r\nContent-Length: 04\r\n\r\nnull",
        response(200, b"null", content_length=b"04"),
    ),
    "chunked": (
        CHUNKED + b"2\r\nnu\r\n2\r\nll\r\n0\r\n\r\n",
        response(200, b"null", transfer_encoding=b"chunked"),
    ),
    "chunk extension": (
        CHUNKED + b'4;a=b;c="d"\r\nnull\r\n0\r\n\r\n',
        response(200, b"null", transfer_encoding=b"chunked"),
    ),
    "trailer": (
        CHUNKED + b"4\r\nnull\r\n0\r\nX-A: b\r\nRetry-After: 9\r\n\r\n",
        response(200, b"null", transfer_encoding=b"chunked"),
    ),
    "103": (EARLY + NULL, response(200, b"null", content_length=b"4")),
    "100, 103, 103": (
        CONTINUE + EARLY + EARLY + NULL,
        response(200, b"null", content_length=b"4"),
    ),
    "103 with a length": (
        b"HTTP/1.1 103 X\r\nContent-Length: 4\r\n\r\n" + raw_answer(200, b""),
        response(200, b"", content_length=b"0"),
    ),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", response(204, b"")),
    "304": (
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\n",
        response(304, b"", content_length=b"4"),
    ),
    "close": (
        raw_answer(200, b"null", b"Connection: x, Close"),
        response(
            200, b"null", reusable=False, content_length=b"4", connection=b"x, Close"
        ),
    ),
    "1.0": (
        b"HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\nnull",
        response(200, b"null", reusable=False, content_length=b"4"),
    ),
    "1.0, kept": (
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 4\r\n\r\nnull",
        response(
            200, b"null", reusable=False, connection=b"keep-alive", content_length=b"4"
        ),
    ),
    "upgrade offered": (
        raw_answer(426, b"{}", b"Upgrade: h2c", b"Connection: upgrade"),
        response(
            426, b"{}", content_length=b"2", upgrade=b"h2c", connection=b"upgrade"
        ),
    ),
}

forms = pytest.mark.parametrize("form", FORMS)


def read(data: bytes, piece: int = 2**20) -> HttpResponse | None:
    """Return what a new reader makes of *data*, fed in pieces of so many bytes."""
    reader = ResponseReader()
    read = None
    for start in range(0, len(data), piece):
        assert read is None
        read = reader.feed(data[start : start + piece])
    return read


def refusal(data: bytes, piece: int = 2**20) -> str:
    """Return why *data* is refused."""
    with pytest.raises(MalformedResponseError) as error:
        read(data, piece)
    return error.value.reason


# Whole responses ------------------------------------------------------------


@forms
@pytest.mark.parametrize("piece", [1, 2, 3, 7, 1000])
def test_every_form_is_read_however_it_arrives(form: str, piece: int) -> None:
    """A response is the same in whatever pieces it arrives."""
    data, expected = FORMS[form]

    assert expected == read(data, piece)


@forms
def test_what_was_cut_is_not_a_response(form: str) -> None:
    """No part of a response is taken for the whole one."""
    data, _ = FORMS[form]

    assert [None] * (len(data) - 1) == [read(data[:n]) for n in range(1, len(data))]


def test_a_reader_reads_one_response_after_the_other() -> None:
    """Nothing of a response is left to the next one on the connection."""
    reader = ResponseReader()
    for data, expected in FORMS.values():
        if expected.reusable:
            reader.begin()

            assert expected == reader.feed(data)


@forms
@pytest.mark.parametrize(
    "more", [b"\n", b"\r\n", b"\r\n\r\n", b"\r", b"x", b"\0", NULL, NULL[:9], CONTINUE]
)
def test_what_comes_after_a_response_ends_the_connection(
    form: str, more: bytes
) -> None:
    """It is not part of the response, and never becomes the next one."""
    data, expected = FORMS[form]
    found = read(data + more)

    assert found is not None
    assert not found.reusable
    assert (expected.status, expected.headers, expected.body) == (
        found.status,
        found.headers,
        found.body,
    )


# Ended by the connection's end -----------------------------------------------

UNTIL_CLOSE = {
    "null": (OK + b"\r\nnull", response(200, b"null", reusable=False)),
    "close": (
        OK + b"Connection: close\r\n\r\nnull",
        response(200, b"null", reusable=False, connection=b"close"),
    ),
    "1.0": (
        b"HTTP/1.0 200 OK\r\n\r\n" + b'{"value":1}',
        response(200, b'{"value":1}', reusable=False),
    ),
    "after 103": (EARLY + OK + b"\r\nnull", response(200, b"null", reusable=False)),
    "a page": (
        b"HTTP/1.0 503 X\r\nA: b\r\n\r\n<html>",
        response(503, b"<html>", reusable=False, a=b"b"),
    ),
    "a failure without a body": (
        b"HTTP/1.0 502 X\r\n\r\n",
        response(502, b"", reusable=False),
    ),
}


@pytest.mark.parametrize("form", UNTIL_CLOSE)
@pytest.mark.parametrize("piece", [1, 7, 1000])
def test_a_body_without_a_length_ends_with_its_connection(
    form: str, piece: int
) -> None:
    """It is not whole before that, and the connection is not used again."""
    data, expected = UNTIL_CLOSE[form]
    reader = ResponseReader()
    for start in range(0, len(data), piece):
        assert reader.feed(data[start : start + piece]) is None

    assert expected == reader.end()


@forms
def test_the_end_of_a_connection_completes_no_other_response(form: str) -> None:
    """With a length or chunks, a response that was cut stays cut."""
    data, _ = FORMS[form]
    for n in range(len(data)):
        reader = ResponseReader()
        if n:
            reader.feed(data[:n])
        assert reader.end() is None


def test_an_empty_body_without_a_length_is_not_taken_for_whole() -> None:
    """It is the beginning of every other one, and the answer to a dispose."""
    for head in (OK, b"HTTP/1.0 200 OK\r\n", EARLY + OK):
        reader = ResponseReader()
        assert reader.feed(head + b"\r\n") is None
        assert reader.end() is None


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


# Beside another parser ------------------------------------------------------


def read_by_h11(data: bytes) -> HttpResponse:
    """Return what h11 makes of a whole response after which more may be asked."""
    http = h11.Connection(h11.CLIENT)
    http.send(h11.Request(method="POST", target="/", headers=[("Host", "x")]))
    http.send(h11.EndOfMessage())
    http.receive_data(data)
    while isinstance(head := http.next_event(), h11.InformationalResponse):
        pass
    assert isinstance(head, h11.Response)
    body = b""
    while isinstance(event := http.next_event(), h11.Data):
        body += event.data
    assert isinstance(event, h11.EndOfMessage)
    assert (b"", False) == http.trailing_data
    headers: dict[bytes, bytes] = {}
    for name, value in head.headers:
        known = headers.get(name)
        headers[name] = value if known is None else known + b", " + value
    return HttpResponse(
        head.status_code, headers, body, reusable=http.their_state is h11.DONE
    )


# We drop what a reason phrase says (RFC 9112 §4), and llhttp skips empty lines
# between an interim response and the final one. Neither moves where one ends.
H11_IS_STRICTER = ("illegal status line", "no response line")


@given(
    st.sampled_from([data for data, _ in FORMS.values()]),
    st.integers(0, 200),
    st.integers(0, 3),
    st.sampled_from(
        [b"\r", b"\n", b"\r\n", b" ", b":", b"\0", b"1", b"Connection: close"]
    )
    | st.binary(max_size=3),
)
def test_what_it_takes_for_a_response_h11_does_too(
    data: bytes, place: int, gone: int, new: bytes
) -> None:
    """Of changed bytes, it never reads another response than h11 does."""
    place += len(OK)
    data = data[:place] + new + data[place + gone :]
    try:
        found = read(data)
    except MalformedResponseError:
        return

    if found is None or not found.reusable:
        return
    theirs: object
    try:
        theirs = read_by_h11(data)
    except h11.RemoteProtocolError as error:
        theirs = str(error)

    assert theirs == found or any(line in str(theirs) for line in H11_IS_STRICTER)
