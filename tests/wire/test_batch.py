"""Batches, in both directions, without any I/O."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dp_core import (
    DurablePromiseError,
    InvalidPromiseIdError,
    InvalidTermsError,
    InvalidValueError,
    ProtocolError,
    Rejected,
    Resolved,
    Terms,
)
from dp_core.wire import (
    ENVELOPE_BYTES,
    MAX_BATCH_CALLS,
    BatchedCall,
    Call,
    Create,
    Dispose,
    Info,
    Peek,
    Settle,
    Wait,
    _batch,
    lacks_endpoint,
    max_batch_bytes,
    read_answer,
    read_batch,
    read_batch_answer,
    write_answer,
    write_batch,
    write_batch_answer,
    write_call,
    write_error,
)
from support.wire.samples import CALLS, IDS, OUTCOMES, VALUES

BATCHED = CALLS.filter(lambda call: not isinstance(call, Wait)) | st.one_of(
    IDS.map(Info),
    st.builds(
        Create, IDS, st.builds(Terms, data=VALUES.filter(lambda v: v != b"null"))
    ),
    st.builds(lambda id, by: Settle(id, Resolved(b"1", by=by)), IDS, st.just("me")),
)

PEEK = b'{"op":"peek","promiseId":"b"}'


def batch(*items: Any) -> bytes:
    """Return the body of a batch of these items."""
    return json.dumps(items).encode()


# There and back ---------------------------------------------------------------


@given(st.lists(BATCHED, max_size=20))
def test_the_server_reads_the_batch_a_client_wrote(calls: list[Call]) -> None:
    """Every call comes out as it went in, in its place."""
    body = write_batch([write_call(call) for call in calls])

    assert calls == read_batch(body)
    json.loads(body)


@given(st.sampled_from(["peek", "resolve"]), IDS, st.binary() | VALUES)
def test_the_usual_call_is_read_as_any_other(op: str, id: str, value: bytes) -> None:
    """The quick way refuses what the other one does, and returns the same."""
    name = json.dumps(id, ensure_ascii=False).encode()
    for end in (b"", b',"value":' + value, b',"value":1,' + value):
        usual = b'{"op":"%b","promiseId":%b%b}' % (op.encode(), name, end)
        spaced = b"{ " + usual[1:]
        if isinstance(quick := _batch._read_usual(usual, 2**20), Peek | Settle):
            assert [quick] == read_batch(b"[%b]" % spaced)


@given(st.lists(st.tuples(IDS, OUTCOMES), max_size=20))
def test_a_client_reads_the_answers_the_server_wrote(
    settled: list[tuple[str, Any]],
) -> None:
    """Every answer comes to its call, to the byte, as it would have come alone."""
    calls = [Settle(id, outcome) for id, outcome in settled]
    body = write_batch_answer([(200, write_answer(call.outcome)) for call in calls])
    answers = read_batch_answer(calls, body)

    assert [(200, write_answer(call.outcome)) for call in calls] == answers
    assert [call.outcome for call in calls] == [
        read_answer(call, *answer) for call, answer in zip(calls, answers, strict=True)
    ]
    json.loads(body)


def test_the_answer_to_a_dispose_is_null_in_a_batch() -> None:
    """Alone it has no body, and so the client reads it; a peek's null stays null."""
    body = write_batch_answer([(200, write_answer(None)), (200, b"null")])

    assert b'[{"status":200,"body":null},{"status":200,"body":null}]' == body
    assert [(200, b""), (200, b"null")] == read_batch_answer(
        [Dispose("a"), Peek("b")], body
    )


def test_failures_have_their_places_among_answers() -> None:
    """A failure is the one of its call, with its status and its body."""
    failed = write_error(InvalidValueError("$", "no"))
    body = write_batch_answer([(200, b"null"), failed])

    assert [(200, b"null"), failed] == read_batch_answer([Peek("a"), Peek("b")], body)


# What the server refuses ------------------------------------------------------


@pytest.mark.parametrize(
    ("item", "status", "word"),
    [
        (1, 400, "not an object"),
        (None, 400, "not an object"),
        ([], 400, "not an object"),
        ({}, 400, "'op' is not there"),
        ({"promiseId": "a"}, 400, "'op' is not there"),
        ({"op": 5, "promiseId": "a"}, 400, "not a string"),
        ({"op": "nix", "promiseId": "a"}, 404, "no operation 'nix'"),
        ({"op": "await", "promiseId": "a"}, 404, "no operation 'await'"),
        ({"op": "list"}, 404, "no operation 'list'"),
        ({"op": "peek"}, 400, "'promiseId' is missing"),
        ({"op": "peek", "promiseId": 5}, 400, "not a string"),
        ({"op": "peek", "promiseId": ""}, 400, ""),
        ({"op": "peek", "promiseId": "a" * 1025}, 400, ""),
        ({"op": "peek", "promiseId": "a", "value": 1}, 400, "unknown: 'value'"),
        ({"op": "resolve", "promiseId": "a", "vlaue": 1}, 400, "unknown: 'vlaue'"),
        ({"op": "reject", "promiseId": "a"}, 400, "'errorMessage' is missing"),
        ({"op": "reject", "promiseId": "a", "errorMessage": 1}, 422, "a string"),
        (
            {"op": "resolve", "promiseId": "a", "value": "x" * 200},
            422,
            "over the limit",
        ),
        ({"op": "resolve", "promiseId": "a", "by": "x" * 257}, 422, "by"),
        ({"op": "create", "promiseId": "a", "otherwise": {"value": 1}}, 422, ""),
        ({"op": "create", "promiseId": "a", "tags": {"dp.x": "y"}}, 422, "dp."),
    ],
    ids=str,
)
def test_what_is_wrong_with_a_call_is_wrong_with_it_alone(
    item: object, status: int, word: str
) -> None:
    """It is refused as it would have been alone; those around it are not."""
    before, error, after = read_batch(
        b"[%b,%b,%b]" % (PEEK, batch(item)[1:-1], PEEK), 100
    )

    assert Peek("b") == before == after
    assert isinstance(error, DurablePromiseError)
    assert status == write_error(error)[0]
    assert word in str(error)


@pytest.mark.parametrize(
    "text",
    [b'{"op":"peek","promiseId":"a","promiseId":"a"}', b"nix", b"NaN", b"[[[" * 400],
    ids=["twice", "word", "NaN", "open"],
)
def test_text_that_is_not_json_is_wrong_in_its_place(text: bytes) -> None:
    """Where it is plain which call it is, the others go on."""
    if text.startswith(b"["):
        text += b"]]]" * 400
    first, second = read_batch(b"[%b,%b]" % (text, PEEK))

    assert isinstance(first, ProtocolError)
    assert Peek("b") == second


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"null", b"[", b'{"calls":[]}', PEEK, b"[1,]", b"\xff"],
    ids=repr,
)
def test_a_body_that_is_not_an_array_is_refused(body: bytes) -> None:
    """There is no call in it that could be answered."""
    with pytest.raises(ProtocolError, match="not an array") as caught:
        read_batch(body)

    assert 400 == caught.value.status


def test_the_number_of_calls_has_a_limit() -> None:
    """A thousand are a batch, one more is none; none at all is one."""
    assert [] == read_batch(b"[]")
    assert MAX_BATCH_CALLS == len(read_batch(batch(*[{}] * MAX_BATCH_CALLS)))
    with pytest.raises(ProtocolError, match="1,000 at most") as caught:
        read_batch(batch(*[{}] * (MAX_BATCH_CALLS + 1)))

    assert 400 == caught.value.status


def test_a_call_is_no_longer_than_alone() -> None:
    """One that is as long as no body may be is too large in a batch, too."""
    long = {"op": "resolve", "promiseId": "a", "value": "x" * (ENVELOPE_BYTES + 100)}
    data = {"op": "create", "promiseId": "a", "data": "x" * (ENVELOPE_BYTES + 100)}
    too_large, too_long = read_batch(batch(long, data), 100)

    assert isinstance(too_large, ProtocolError)
    assert 413 == too_large.status
    assert isinstance(too_long, InvalidValueError)


def test_a_body_has_eight_megabytes_or_one_value() -> None:
    """Whichever is more, so that what can be settled alone can be in a batch."""
    assert 8 * 1024 * 1024 == max_batch_bytes()
    assert 64 * 1024 * 1024 + ENVELOPE_BYTES == max_batch_bytes(64 * 1024 * 1024)


# What a client refuses --------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"{}",
        b"[]",
        b"[null,null]",
        b'[{"status":200,"body":null}]',
        b'[{"status":200,"body":null},{"status":200}]',
        b'[{"status":200,"body":null},{"body":null}]',
        b'[{"status":"200","body":null},{"status":200,"body":null}]',
        b'[{"status":200,"body":null,"x":1},{"status":200,"body":null}]',
        b'[{"status":200,"body":null},{"status":200,"body":null},null]',
        b'[{"status":200,"body":null},{"status":200,"body":nul}]',
        b"[" * 100_000,
    ],
    ids=lambda body: repr(body[:60]),
)
def test_what_does_not_answer_each_call_is_no_answer(body: bytes) -> None:
    """Then nobody takes another one's answer for their own."""
    with pytest.raises(ProtocolError):
        read_batch_answer([Peek("a"), Peek("b")], body)


@pytest.mark.parametrize(
    ("status", "body", "lacks"),
    [
        (404, b'{"code":404,"message":"no operation"}', True),
        (405, b'{"message":"use GET"}', True),
        (501, b'{"code":501,"message":"no"}', True),
        (400, b'{"message":"bad path, expected another"}', True),
        (400, b'{"code":400,"message":"no array"}', False),
        (404, b'{"message":"service \'x\' not found, try later"}', False),
        (404, b'{"code":500,"message":"no operation"}', False),
        (404, b"<html>not found</html>", False),
        (404, b'{"error":"not found"}', False),
        (503, b'{"code":503,"message":"later"}', False),
    ],
)
def test_only_a_failure_of_the_wire_says_that_batches_are_lacking(
    status: int, body: bytes, lacks: bool
) -> None:
    """What a gateway says in a form of its own is an outage."""
    assert lacks is lacks_endpoint(status, body)


def test_the_errors_of_a_batch_are_ours() -> None:
    """Ids and terms that cannot be are named as what they are."""
    bad: list[BatchedCall | DurablePromiseError] = read_batch(
        batch(
            {"op": "info", "promiseId": "\0"},
            {"op": "create", "promiseId": "a", "deadline": "soon"},
            {"op": "reject", "promiseId": "a", "errorMessage": "no"},
        )
    )

    assert InvalidPromiseIdError is type(bad[0])
    assert InvalidTermsError is type(bad[1])
    assert Settle("a", Rejected("no")) == bad[2]
