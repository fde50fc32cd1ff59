"""The forms of a response: each is read as it is, in whatever pieces it arrives."""

from __future__ import annotations

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dp_backends.http._responses import (
    HttpResponse,
    MalformedResponseError,
    ResponseReader,
)
from support.http import CHUNKED, CONTINUE, EARLY, NULL, OK, raw_answer, read


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
