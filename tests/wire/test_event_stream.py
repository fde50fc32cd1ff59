"""Event streams: what is told is heard, however its bytes are cut."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dp_core import PromiseDisposedError, ProtocolError, Rejected, Resolved
from dp_core.wire import (
    Comment,
    Event,
    EventDecoder,
    Notification,
    write_comment,
    write_event,
)
from support.wire.samples import IDS, OUTCOMES

LINE_ENDS = (b"\n", b"\r", b"\r\n")
STREAM = (
    write_comment()
    + write_event("é", Resolved('{"ü":[1,"😀"]}'.encode()))
    + write_event("x\r\n", Rejected("nein\r\n\u2028"))
    + write_comment()
    + write_event("gone", PromiseDisposedError("gone"))
    + write_event("long", Resolved(b'"%b"' % (b"x" * 70_000)))
    + b"event: other\nid: 5\nretry\n: words\ndata:{\ndata: "
    + b'"promiseId":"split",\ndata:"value":null}\n\n'
)
EVENTS = [
    (Comment, "", None),
    (Notification, "é", Resolved('{"ü":[1,"😀"]}'.encode())),
    (Notification, "x\r\n", Rejected("nein\r\n\u2028")),
    (Comment, "", None),
    (Notification, "gone", "disposed"),
    (Notification, "long", None),
    (Comment, "", None),
    (Notification, "split", Resolved(b"null")),
]


def said(events: list[Event]) -> list[tuple[type, str, object]]:
    """Return events in a form that can be compared."""
    return [
        (Comment, "", None)
        if isinstance(event, Comment)
        else (
            Notification,
            event.id,
            "disposed" if isinstance(event.told, PromiseDisposedError) else event.told,
        )
        for event in events
    ]


def read(*pieces: bytes) -> list[tuple[type, str, object]]:
    """Return what a decoder makes of pieces."""
    decoder = EventDecoder()
    return said([event for piece in pieces for event in decoder.feed(piece)])


@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", LINE_ENDS)
def test_every_line_end_means_the_same(end: bytes, bom: bytes) -> None:
    """A line ends by LF, CR, or both, after a byte order mark or none."""
    assert EVENTS == read(bom + STREAM.replace(b"\n", end))


@pytest.mark.parametrize("end", LINE_ENDS)
def test_a_stream_may_be_cut_at_every_byte(end: bytes) -> None:
    """One cut at each place, and one between all bytes, change nothing."""
    short = re.sub(b"x{9,}", b"x", STREAM)
    stream = b"\xef\xbb\xbf" + short.replace(b"\n", end)
    expected = read(stream)

    for place in range(len(stream) + 1):
        assert expected == read(stream[:place], stream[place:])
    assert expected == read(*(stream[n : n + 1] for n in range(len(stream))))
    assert len(EVENTS) == len(expected)


@pytest.mark.parametrize("end", LINE_ENDS)
def test_what_is_cut_short_is_not_an_event(end: bytes) -> None:
    """Each beginning of a stream gives the events that are whole in it, no other."""
    stream = write_event("x", Resolved(b"12")).replace(b"\n", end)

    # The last CR of a line end is enough, and its LF is passed over.
    for place in range(len(stream) - (2 if end == b"\r\n" else 1) + 1):
        assert [] == read(stream[:place])


@given(IDS, OUTCOMES)
def test_what_is_written_is_read(id: str, outcome: Resolved[bytes] | Rejected) -> None:
    """Any outcome of any promise is told as it is."""
    assert [(Notification, id, outcome)] == read(write_event(id, outcome))


def test_a_kept_line_end_does_not_end_a_line() -> None:
    """A value with line ends between its items is told without them."""
    written = write_event("x", Resolved(b"[1,\r\n2]"))

    assert [(Notification, "x", Resolved(b"[1,  2]"))] == read(written)


@pytest.mark.parametrize(("size", "told"), [(65_536, True), (65_537, False)])
def test_a_long_outcome_is_to_be_asked_for(size: int, told: bool) -> None:
    """An outcome of over 64 KiB is not told, but that there is one."""
    outcome = Resolved(b"1" * size)

    assert [(Notification, "x", outcome if told else None)] == read(
        write_event("x", outcome)
    )


@pytest.mark.parametrize(
    "data",
    [
        b"hello",
        b"[]",
        b"{}",
        b'{"promiseId":"x"}',
        b'{"value":1}',
        b'{"promiseId":1,"value":1}',
        b'{"promiseId":"","value":1}',
        b'{"promiseId":"x","value":1,"error":"y"}',
        b'{"promiseId":"x","value":NaN}',
        b'{"promiseId":"x","error":1}',
        b'{"promiseId":"x","disposed":false}',
        b'{"promiseId":"x","ask":1}',
        b'{"promiseId":"x","value":1,"id":2}',
        b'{"promiseId":"\xff","value":1}',
        b'{"promiseId":%b,"value":1}' % (b"9" * 60_000),
    ],
)
def test_what_strangers_say_is_not_an_outcome(data: bytes) -> None:
    """An event that is not in the wire's form is an error, and nothing else."""
    with pytest.raises(ProtocolError):
        EventDecoder().feed(b"data: %b\n\n" % data)


@pytest.mark.parametrize("begin", [b"data: ", b"data: 1\n", b"x", b":", b""])
def test_what_has_no_end_is_not_kept(begin: bytes) -> None:
    """A line, or an event of many lines, is refused once it is too long."""
    decoder = EventDecoder()
    piece = (
        b"data: %b\n" % (b"1" * 94) * 800 if begin.endswith(b"\n") else b"x" * 80_000
    )
    decoder.feed(begin)
    decoder.feed(piece[:40_000])

    with pytest.raises(ProtocolError, match="too long"):
        decoder.feed(piece)


@given(st.lists(st.binary()))
def test_reading_fails_only_with_errors_of_ours(pieces: list[bytes]) -> None:
    """Whatever comes, it is no event or an error of our tree."""
    try:
        events = read(*pieces)
    except ProtocolError:
        events = []

    assert {Comment} >= {kind for kind, _, _ in events}


def test_an_event_is_text_that_browsers_read() -> None:
    """One line of JSON after ``data:``, and an empty line."""
    event = write_event("a b", Resolved(b'{"x":1}'))

    assert event.startswith(b"data: ")
    assert event.endswith(b"\n\n")
    assert {"promiseId": "a b", "value": {"x": 1}} == json.loads(event[6:])
    assert b":\n\n" == write_comment()
