"""The wire, in both directions, without any I/O."""

from __future__ import annotations

import json
import string
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dp_core import (
    AccessDeniedError,
    BackendClosedError,
    BackendError,
    BackendUnavailableError,
    CorruptPromiseError,
    DurablePromiseError,
    InvalidValueError,
    OutcomeUnknownError,
    Pending,
    PromiseDisposedError,
    ProtocolError,
    Rejected,
    Resolved,
)
from dp_core.wire import (
    Dispose,
    Peek,
    Settle,
    Wait,
    read_answer,
    read_call,
    write_answer,
    write_call,
    write_error,
)
from support.wire.samples import CALLS, IDS, JSON_VALUES, OUTCOMES, VALUES

# There and back -------------------------------------------------------------


@given(CALLS)
def test_the_server_reads_the_call_a_client_wrote(call: Peek) -> None:
    """Every call comes out as it went in: id, value and message to the byte."""
    path, body = write_call(call)

    assert read_call(path, body) == call


@given(CALLS)
def test_a_completion_may_name_its_promise_in_the_path(call: Peek) -> None:
    """It is the same call, whatever its id is."""
    path, body = write_call(call, in_path=True)

    assert read_call(path, body) == call


@pytest.mark.parametrize(
    ("id", "plain"),
    [
        *((id, True) for id in ("a", "order-17", "a.b", "~_-", "x" * 200)),
        *((id, False) for id in (".", "..", ".a", "a/b", "%41", "a b", "é", "x" * 201)),
    ],
)
def test_only_plain_ids_stand_in_paths(id: str, plain: bool) -> None:
    """What anybody on the way could read as something else is in the body."""
    for outcome, operation in ((Resolved(b"1"), "resolve"), (Rejected("no"), "reject")):
        path, _ = write_call(Settle(id, outcome), in_path=True)
        where = f"promises/{id}" if plain else "promise"
        assert f"/{where}/{operation}" == path


@given(st.builds(Settle, IDS, OUTCOMES))
def test_a_client_reads_the_outcome_the_server_wrote(call: Settle) -> None:
    """Every outcome arrives as it stands, whoever asked for it."""
    body = write_answer(call.outcome)

    assert read_answer(call, 200, body) == call.outcome
    assert read_answer(Peek(call.id), 200, body) == call.outcome
    assert read_answer(Wait(call.id), 200, body) == call.outcome
    json.loads(body)


def test_a_client_reads_that_a_promise_is_pending() -> None:
    """Pending, and the end of a wait without an outcome, are ``null``."""
    body = write_answer(Pending())

    assert b"null" == body
    assert Pending() == read_answer(Peek("x"), 200, body)
    assert Pending() == read_answer(Wait("x"), 202, body)


def test_a_client_reads_that_a_promise_was_disposed_of() -> None:
    """Dispose answers nothing at all, and that is read as success."""
    assert b"" == write_answer(None)
    assert read_answer(Dispose("x"), 200, b"") is None


@pytest.mark.parametrize(
    "error",
    [
        BackendError("broken"),
        BackendUnavailableError("disk full"),
        OutcomeUnknownError("cut"),
        CorruptPromiseError("bit rot"),
        AccessDeniedError("not yours"),
        BackendClosedError("closed"),
        PromiseDisposedError("x"),
        ProtocolError(404, "no such operation"),
        ProtocolError(405, "use POST"),
    ],
    ids=repr,
)
def test_an_error_arrives_as_it_was_raised(error: DurablePromiseError) -> None:
    """Class and text of an error are the same on both sides of the wire."""
    with pytest.raises(type(error)) as caught:
        read_answer(Wait("x"), *write_error(error))

    assert str(caught.value) == str(error)
    assert type(caught.value) is type(error)


def test_the_text_of_an_error_may_hold_what_utf8_cannot() -> None:
    """A file name that is no UTF-8 does not break the error that names it."""
    status, body = write_error(BackendUnavailableError("no room in /tmp/\udcff"))

    assert 503 == status
    assert "no room in /tmp/\\udcff" == json.loads(body)["message"]


# The three forms ------------------------------------------------------------


@given(st.builds(Settle, IDS, OUTCOMES))
def test_the_three_forms_make_the_same_call(call: Settle) -> None:
    """What differs between the URL forms is where the id stands, no more."""
    key = "value" if isinstance(call.outcome, Resolved) else "errorMessage"
    operation = "resolve" if key == "value" else "reject"
    text = (
        call.outcome.value
        if isinstance(call.outcome, Resolved)
        else json.dumps(call.outcome.error).encode()
    )
    id = json.dumps(call.id).encode()
    member = b'"%b":%b' % (key.encode(), text)
    service = b'{"promiseId":%b,%b}' % (id, member)
    server = b'{"request":{"promiseName":%b,%b}}' % (id, member)
    object_path = f"/promises/{quote(call.id, safe='')}/{operation}"

    assert read_call(f"/promise/{operation}", service) == call
    assert read_call(f"/durablePromiseServer/{operation}", server) == call
    assert read_call(object_path, text) == call


@pytest.mark.parametrize(
    ("path", "id"),
    [
        ("/promises/a%2Fb/peek", "a/b"),
        ("/promises/%2E%2E/peek", ".."),
        ("/promises/../peek", ".."),
        ("/promises/a+b/peek", "a+b"),
        ("/promises/%0D%0Ax/peek", "\r\nx"),
        ("/promises/%E2%98%83/peek", "☃"),
        ("/promises/☃/peek", "☃"),
        ("/promises/%/peek", "%"),
        ("/promises/a;b=c/peek", "a;b=c"),
    ],
)
def test_an_id_in_a_path_is_its_percent_decoded_bytes(path: str, id: str) -> None:
    """Nothing but percent-decoding is done to an id: no dots are resolved."""
    assert read_call(path, b"") == Peek(id)


@pytest.mark.parametrize(
    ("path", "body", "outcome"),
    [
        ("/promise/resolve", b'{"promiseId":"x"}', Resolved(b"null")),
        ("/promise/resolve", b'{"promiseId":"x","value":null}', Resolved(b"null")),
        ("/promise/resolve", b'{"promiseId":"x","value": [1, 2]}', Resolved(b"[1,2]")),
        ("/promise/reject", b'{"promiseId":"x","errorMessage":""}', Rejected("")),
        ("/promises/x/resolve", b"", Resolved(b"null")),
        ("/promises/x/resolve", b" \n", Resolved(b"null")),
        ("/promises/x/resolve", b'{"value": 1}', Resolved(b'{"value":1}')),
        ("/promises/x/resolve", b"1.50", Resolved(b"1.50")),
        ("/promises/x/resolve", b"9" * 9000, Resolved(b"9" * 9000)),
    ],
)
def test_what_is_settled_to(path: str, body: bytes, outcome: Resolved[bytes]) -> None:
    """A missing value means null; a number keeps every digit it came with."""
    assert read_call(path, body) == Settle("x", outcome)


def test_a_wait_can_name_its_promise_in_the_path() -> None:
    """All operations have all forms, with a body or without one."""
    for path in ("/promises/a%2Fb/await", "/promises/%61%2fb/await"):
        for body in (b"", b"null", b"{}"):
            assert Wait("a/b") == read_call(path, body)


@pytest.mark.parametrize("path", ["/", "/promise/resolv", "/promises/x", "/x/y/z/w"])
def test_who_mistypes_a_path_is_told_all_forms(path: str) -> None:
    """The three forms are in the error, with the body of each."""
    with pytest.raises(ProtocolError) as failure:
        read_call(path, b"")

    assert 404 == failure.value.status
    for part in (
        "peek, await, resolve, reject, dispose",
        '{"promiseId": ID, "value": JSON or "errorMessage": TEXT}',
        "POST /promises/ID/OPERATION with the bare value",
        '{"request": {"promiseName": ID',
    ):
        assert part in failure.value.reason


# What is refused ------------------------------------------------------------

_LONG = b'"%b"' % (b"x" * 1025)

REFUSED = [
    ("/", b"{}", 404),
    ("/promise", b"{}", 404),
    ("/promise/nope", b"{}", 404),
    ("/promise/peek/", b'{"promiseId":"x"}', 404),
    ("/promises/peek", b"", 404),
    ("/promises/a/b/peek", b"", 404),
    ("//promise/peek", b'{"promiseId":"x"}', 404),
    ("/promise/peek", b"", 400),
    ("/promise/peek", b"garbage", 400),
    ("/promise/peek", b"\xff", 400),
    ("/promise/peek", b"[]", 400),
    ("/promise/peek", b"null", 400),
    ("/promise/peek", b"{}", 400),
    ("/promise/peek", b'{"promiseId":"x"} trailing', 400),
    ("/promise/peek", b'{"promiseId":"x","promiseId":"y"}', 400),
    ("/promise/peek", b'{"promiseId":5}', 400),
    ("/promise/peek", b'{"promiseId":null}', 400),
    ("/promise/peek", b'{"promiseId":""}', 400),
    ("/promise/peek", b'{"promiseId":"a\\u0000b"}', 400),
    ("/promise/peek", b'{"promiseId":"\\ud800"}', 400),
    ("/promise/peek", b'{"promiseId":%b}' % _LONG, 400),
    ("/promise/peek", b'{"promiseId":%b}' % (b"9" * 100_000), 400),
    ("/promises//peek", b"", 400),
    ("/promises/%00/peek", b"", 400),
    ("/promises/%FF/peek", b"", 400),
    ("/promises/\udcff/peek", b"", 400),
    ("/promise/resolve", b'{"promiseId":"x","value":NaN}', 400),
    ("/promise/resolve", b'{"promiseId":"x","value":}', 400),
    ("/promise/resolve", b'{"promiseId":"x","value":{"a":1,"a":2}}', 400),
    ("/promise/resolve", b'{"promiseId":"x","value":%b' % (b"[" * 100_000), 400),
    ("/promise/resolve", b'{"promiseId":"x","value":1e999}', 422),
    ("/promise/resolve", b'{"promiseId":"x","value":"\\udfff"}', 422),
    (
        "/promise/resolve",
        b'{"promiseId":"x","value":%b%b}' % (b"[" * 129, b"]" * 129),
        422,
    ),
    ("/promise/reject", b'{"promiseId":"x"}', 400),
    ("/promise/reject", b'{"promiseId":"x","errorMessage":null}', 422),
    ("/promise/reject", b'{"promiseId":"x","errorMessage":%b}' % (b"9" * 10_000), 422),
    ("/promise/reject", b'{"promiseId":"x","errorMessage":"\\ud800"}', 422),
    ("/promises/x/resolve", b"NaN", 422),
    ("/promises/x/resolve", b"garbage", 422),
    ("/promises/x/reject", b"", 400),
    ("/durablePromiseServer/peek", b'{"promiseName":"x"}', 400),
    ("/durablePromiseServer/peek", b'{"request":"x"}', 400),
    ("/durablePromiseServer/peek", b'{"request":{"promiseId":"x"}}', 400),
]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    REFUSED,
    ids=[f"{path} {body[:40]!r} {len(body)}" for path, body, _ in REFUSED],
)
def test_a_bad_call_is_refused(path: str, body: bytes, status: int) -> None:
    """Each bad call gets the status DESIGN §7 gives it, and a short answer."""
    with pytest.raises(DurablePromiseError) as caught:
        read_call(path, body)
    said, answer = write_error(caught.value)

    assert said == status
    assert json.loads(answer)["code"] == status
    assert len(answer) < 1000


def test_a_value_over_the_limit_is_refused() -> None:
    """The limit counts the value's text, not the white space around it."""
    fits = b'{"promiseId":"x","value":   "%b"}' % (b"x" * 8)

    assert read_call("/promise/resolve", fits, limit=10)
    with pytest.raises(InvalidValueError, match="over the limit of 9"):
        read_call("/promise/resolve", fits, limit=9)


def test_a_key_that_is_there_twice_is_found_in_linear_time() -> None:
    """A megabyte of keys costs no more than one pass over them."""
    keys = b",".join(b'"k%d":1' % number for number in range(50_000))

    with pytest.raises(ProtocolError, match="'k49999' is there twice"):
        read_call("/promise/peek", b'{%b,"k49999":2}' % keys)


PATHS = st.text() | st.builds(
    "/".join,
    st.lists(
        st.sampled_from(
            ["", "promise", "promises", "durablePromiseServer", "peek", "await"]
        )
        | st.sampled_from(["resolve", "reject", "dispose", "%00", "%ff", "a%2Fb"])
        | st.text(string.printable),
        max_size=5,
    ),
)
BODIES = (
    st.binary()
    | VALUES
    | st.dictionaries(
        st.sampled_from(
            ["promiseId", "promiseName", "request", "value", "errorMessage"]
        ),
        JSON_VALUES
        | st.dictionaries(st.sampled_from(["promiseName", "value"]), JSON_VALUES),
    ).map(lambda value: json.dumps(value).encode())
)


@given(PATHS, BODIES)
def test_reading_a_call_fails_only_with_errors_of_ours(path: str, body: bytes) -> None:
    """Whatever a request says, it is a call or an error with a 4xx status."""
    try:
        read_call(path, body)
    except DurablePromiseError as error:
        status, answer = write_error(error)

        assert 400 <= status < 500
        json.loads(answer)


@pytest.mark.parametrize(
    ("path", "body", "named"),
    [
        ("/promise/resolve", b'{"promiseId":"x","valeu":1}', "'valeu'"),
        ("/promise/resolve", b'{"promiseId":"x","errorMessage":"e"}', "'errorMessage'"),
        (
            "/promise/reject",
            b'{"promiseId":"x","errorMessage":"e","value":1}',
            "'value'",
        ),
        ("/promise/peek", b'{"promiseId":"x","promiseID":"y"}', "'promiseID'"),
        ("/promise/dispose", b'{"promiseId":"x","":1}', "''"),
        ("/promise/await", b'{"promiseId":"x","a\\n":1}', "'a\\n'"),
        (
            "/durablePromiseServer/resolve",
            b'{"request":{"promiseName":"x","Value":1}}',
            "'Value'",
        ),
        (
            "/durablePromiseServer/peek",
            b'{"request":{"promiseName":"x"},"value":1}',
            "'value'",
        ),
        (
            "/promise/peek",
            b'{"promiseId":"x",%b}' % b",".join(b'"k%d":1' % n for n in range(9999)),
            "'k4'",
        ),
    ],
)
def test_unknown_members_are_refused(path: str, body: bytes, named: str) -> None:
    """A typo settles nothing: 400 names it, and says which members there are."""
    with pytest.raises(ProtocolError) as caught:
        read_call(path, body)

    assert 400 == caught.value.status
    assert named in caught.value.reason
    assert "the members here are 'promise" in caught.value.reason or (
        "'request'" in caught.value.reason
    )
    assert "POST /promises/ID/OPERATION" in caught.value.reason
    assert len(caught.value.reason) < 800
