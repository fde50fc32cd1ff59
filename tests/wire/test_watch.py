"""`WatchCall`: many promises asked for at once, as a body and as a query."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dp_core import DurablePromiseError, InvalidPromiseIdError, ProtocolError
from dp_core.wire import (
    MAX_WATCH_BYTES,
    MAX_WATCHED,
    WatchCall,
    read_watch,
    read_watch_query,
    write_call,
    write_watch,
    write_watch_query,
)
from support.wire.samples import IDS


@given(st.lists(IDS, min_size=1, max_size=50, unique=True).map(tuple))
def test_what_is_written_is_read(ids: tuple[str, ...]) -> None:
    """The server reads what a client writes, by POST and by GET."""
    call = WatchCall(ids)

    assert call == read_watch(write_watch(call))
    assert call == read_watch_query(write_watch_query(call))
    assert ("/watch", write_watch(call)) == write_call(call)


def test_the_most_ids_fit() -> None:
    """As many of the longest ids as there may be are read, and in good time."""
    call = WatchCall(tuple(f"{n:01024}" for n in range(MAX_WATCHED)))
    body = write_watch(call)

    assert len(body) <= MAX_WATCH_BYTES
    assert call == read_watch(body)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not JSON|Expecting"),
        (b"[]", "not an object"),
        (b"{}", "'promiseIds' is missing"),
        (b'{"promiseIds":"x"}', "not an array"),
        (b'{"promiseIds":null}', "not an array"),
        (b'{"promiseIds":[]}', "no id"),
        (b'{"promiseIds":[1]}', "not a string"),
        (b'{"promiseIds":["x",["y"]]}', "not a string"),
        (b'{"promiseIds":["x","x"]}', "'x' is there twice"),
        (b'{"promiseIds":["x"],"wait":5}', "unknown: 'wait'"),
        (b'{"promiseId":"x"}', "unknown: 'promiseId'"),
        (b'{"promiseIds":["\xff"]}', "UTF-8"),
        (b'{"promiseIds":["x"]', "Expecting"),
    ],
)
def test_a_body_that_is_not_a_call_is_refused(body: bytes, reason: str) -> None:
    """Each by 400, with a reason."""
    with pytest.raises(ProtocolError, match=reason) as caught:
        read_watch(body)

    assert 400 == caught.value.status


@pytest.mark.parametrize(
    "items", ["1", "[]", '""', '"x"', '{"a":"b"}', '"\\""'], ids=str
)
def test_more_items_than_there_may_be_are_refused(items: str) -> None:
    """However short they are, they are counted before they are parsed."""
    body = ('{"promiseIds":[' + ",".join([items] * 3_000_000) + "]}").encode()

    with pytest.raises(ProtocolError, match="more than 10,000 ids"):
        read_watch(body[:MAX_WATCH_BYTES])


def test_one_id_too_many_is_refused() -> None:
    """The bound is exact: 10,000 in a body, 50 in a query."""
    over = WatchCall(tuple(map(str, range(MAX_WATCHED + 1))))
    long = WatchCall(tuple(map(str, range(51))))

    with pytest.raises(ProtocolError, match="more than 10,000 ids"):
        read_watch(write_watch(over))
    with pytest.raises(ProtocolError, match="more than 50 ids"):
        read_watch_query(write_watch_query(long))


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("", "no id"),
        ("promiseId=x&promiseId=x", "'x' is there twice"),
        ("promiseId=x&token=y", "unknown: 'token'"),
        ("promiseId=%ff", "not a valid one"),
        ("x", "not a valid one"),
    ],
)
def test_a_query_that_is_not_a_call_is_refused(query: str, reason: str) -> None:
    """Each by 400, with a reason."""
    with pytest.raises(ProtocolError, match=reason) as caught:
        read_watch_query(query)

    assert 400 == caught.value.status


@pytest.mark.parametrize("id", ["", "\0", "x" * 1025, "\ud800"])
def test_an_id_that_cannot_be_one_is_refused(id: str) -> None:
    """The whole is refused for one id that no promise can have."""
    body = json.dumps({"promiseIds": ["good", id]}).encode()

    with pytest.raises((InvalidPromiseIdError, ProtocolError)):
        read_watch(body)


@given(st.binary() | st.text().map(str.encode))
def test_reading_fails_only_with_errors_of_ours(body: bytes) -> None:
    """Whatever is asked, it is a call or an error of our tree."""
    error: Exception | None = None
    try:
        read_watch(body)
    except DurablePromiseError as caught:
        error = caught
    try:
        read_watch_query(body.decode("latin-1"))
    except DurablePromiseError as caught:
        error = caught

    assert error is not None
