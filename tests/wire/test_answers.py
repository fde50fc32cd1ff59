"""Answers as a client reads them, whoever wrote them; and how long to wait."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dp_core import (
    AccessDeniedError,
    BackendUnavailableError,
    DurablePromiseError,
    InvalidPromiseIdError,
    InvalidValueError,
    OutcomeUnknownError,
    Pending,
    PromiseDisposedError,
    ProtocolError,
    Query,
    Rejected,
    Resolved,
    Terms,
)
from dp_core.wire import (
    TRANSIENT,
    Create,
    Dispose,
    Info,
    List,
    Peek,
    Settle,
    Wait,
    is_failure,
    prefer_wait,
    read_answer,
    read_prefer,
    write_answer,
)
from support.wire.samples import CALLS, JSON_VALUES, VALUES

A_CALL_OF_EACH_KIND = [
    Peek("x"),
    Wait("x"),
    Settle("x", Resolved(b"1")),
    Settle("x", Rejected("no")),
    Dispose("x"),
]

STATUSES = st.sampled_from([200, 202, 204, 301, 400, 401, 404, 410, 422, 500, 502, 503])
FAILURES = st.fixed_dictionaries(
    {"message": JSON_VALUES},
    optional={
        "type": JSON_VALUES
        | st.sampled_from(
            ["BackendError", "ProtocolError", "quoted", "PromiseDisposedError"]
        ),
        "code": JSON_VALUES,
    },
).map(lambda value: json.dumps(value).encode())


@given(CALLS, STATUSES, st.binary() | VALUES | FAILURES)
def test_reading_an_answer_fails_only_with_errors_of_ours(
    call: Peek, status: int, body: bytes
) -> None:
    """Whatever a server answers, it is a state or an error of our tree."""
    error: Exception | None = None
    try:
        read_answer(call, status, body)
    except DurablePromiseError as caught:
        error = caught

    assert error is None or str(error)


REFERENCE = b'{"code":500,"message":"%b","source":"invocation"}'


@pytest.mark.parametrize(
    ("call", "status", "body", "error"),
    [
        (Wait("x"), 410, b"{}", ProtocolError),
        (Wait("x"), 500, REFERENCE % b"promise was disposed", PromiseDisposedError),
        # Only a wait can hear of it, and only in these words.
        (Peek("x"), 500, REFERENCE % b"promise was disposed", BackendUnavailableError),
        (
            Wait("x"),
            500,
            REFERENCE % b"'promise was disposed' is no id",
            BackendUnavailableError,
        ),
        (Peek("x"), 401, b"", AccessDeniedError),
        (Peek("x"), 403, b"{}", AccessDeniedError),
        (Peek("x"), 404, b"<html>", ProtocolError),
        (Peek("x"), 200, b"<html>", ProtocolError),
        (Peek("x"), 200, b'{"error":5}', ProtocolError),
        (Peek("x"), 302, b"", ProtocolError),
        (Settle("x", Resolved(b"1")), 413, b"", InvalidValueError),
        (Settle("x", Resolved(b"1")), 422, b"", InvalidValueError),
        (Settle("x", Resolved(b"1")), 200, b"null", ProtocolError),
        (Peek("x"), 502, b"<html>", BackendUnavailableError),
        (Peek("x"), 500, b'{"message":%b}' % (b"9" * 5000), BackendUnavailableError),
        # A completion that failed may have happened; one turned away did not.
        (Settle("x", Resolved(b"1")), 502, b"<html>", OutcomeUnknownError),
        (Dispose("x"), 500, b"", OutcomeUnknownError),
        (Settle("x", Resolved(b"1")), 503, b"", BackendUnavailableError),
        (Settle("x", Resolved(b"1")), 429, b"", BackendUnavailableError),
    ],
)
def test_what_a_failure_means(
    call: Peek, status: int, body: bytes, error: type[DurablePromiseError]
) -> None:
    """Each failure, ours, the reference's or a proxy's, has one meaning."""
    with pytest.raises(DurablePromiseError) as caught:
        read_answer(call, status, body)

    assert type(caught.value) is error


@pytest.mark.parametrize(
    "call", [*A_CALL_OF_EACH_KIND, Create("x", Terms()), Info("x"), List(Query())]
)
def test_an_error_about_an_answer_has_one_status(call: Peek) -> None:
    """That with which it came, not the one by which a server refuses a request."""
    with pytest.raises(ProtocolError) as caught:
        read_answer(call, 200, b"<html>")

    assert 200 == caught.value.status
    assert "HTTP" not in caught.value.reason


@pytest.mark.parametrize("call", A_CALL_OF_EACH_KIND, ids=repr)
@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_what_may_pass_is_worth_another_try(call: Peek, status: int) -> None:
    """All calls may be repeated after what can pass by itself."""
    with pytest.raises(TRANSIENT):
        read_answer(call, status, b"")


@pytest.mark.parametrize("call", A_CALL_OF_EACH_KIND, ids=repr)
@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 405, 410, 413, 415, 421])
def test_what_will_not_pass_is_an_error_at_once(call: Peek, status: int) -> None:
    """A refusal is never asked for twice."""
    with pytest.raises(DurablePromiseError) as caught:
        read_answer(call, status, b"")

    assert not isinstance(caught.value, TRANSIENT)


@pytest.mark.parametrize(
    ("body", "state"),
    [
        (b"null", Pending()),
        (b" null\n", Pending()),
        (b"{}", Resolved(b"null")),
        (b'{"value":null}', Resolved(b"null")),
        (b'{"value":false}', Resolved(b"false")),
        (b'{"error":""}', Rejected("")),
        (b'{ "value" : 1.50 }\n', Resolved(b"1.50")),
    ],
)
def test_what_an_answer_means(body: bytes, state: Pending) -> None:
    """A missing value means null, and null alone means pending."""
    assert read_answer(Peek("x"), 200, body) == state


STRANGERS = [
    b"",
    b" ",
    b"true",
    b"0",
    b"[]",
    b'"value"',
    b'{"message":"Internal server error"}',
    b'{"status":"ok"}',
    b'{"value":1,"more":2}',
    b'{"value":1,"error":"no"}',
    b'{"error":null}',
    b'{"error":{"code":404}}',
    b'{"Value":1}',
    b'{"value":1}{"value":2}',
    b"\xef\xbb\xbfnull",
    b"\x0cnull",
    b"<html></html>",
]


@pytest.mark.parametrize("call", A_CALL_OF_EACH_KIND, ids=repr)
@pytest.mark.parametrize("status", [200, 201, 202, 203, 204, 206, 226])
@pytest.mark.parametrize("body", STRANGERS)
def test_only_the_forms_of_the_wire_are_answers(
    call: Peek, status: int, body: bytes
) -> None:
    """What does not say that it is an outcome is none, whatever its status."""
    if isinstance(call, Dispose) and not body and status in (200, 204):
        return

    with pytest.raises(ProtocolError) as caught:
        read_answer(call, status, body)

    assert status == caught.value.status


@pytest.mark.parametrize(
    ("call", "status", "body"),
    [
        (Peek("x"), 202, b"null"),
        (Peek("x"), 204, b""),
        (Peek("x"), 201, b'{"value":1}'),
        (Wait("x"), 202, b'{"value":1}'),
        (Settle("x", Resolved(b"1")), 202, b"null"),
        (Settle("x", Resolved(b"1")), 201, b'{"value":1}'),
        (Dispose("x"), 200, b"null"),
        (Dispose("x"), 200, b"{}"),
        (Dispose("x"), 202, b""),
    ],
)
def test_each_call_has_answers_of_its_own(call: Peek, status: int, body: bytes) -> None:
    """An answer that fits another call, or another status, is none to this one."""
    with pytest.raises(ProtocolError):
        read_answer(call, status, body)


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (404, b'{"code":404,"message":"no operation","type":"ProtocolError"}', True),
        (500, b'{"code":500,"message":"x","source":"ingress"}', True),
        (500, b' {"message":"","code":500} ', True),
        (403, b'{"message":"Forbidden"}', False),
        (404, b'{"code":5,"message":"Not Found","details":[]}', False),
        (404, b'{"code":"404","message":"x"}', False),
        (404, b'{"code":404.0,"message":"x"}', False),
        (404, b'{"code":404,"message":null}', False),
        (404, b'{"code":404}', False),
        (404, b'[{"code":404,"message":"x"}]', False),
        (404, b"404 page not found", False),
        (502, b"", False),
    ],
)
def test_what_a_failure_of_the_wire_looks_like(
    status: int, body: bytes, expected: bool
) -> None:
    """It has its status as a code, and a message; a gateway's has another form."""
    assert expected == is_failure(Peek("x"), status, body)


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (404, b'{"message":"no such handler"}', True),
        (405, b'{"message":"POST only"}', True),
        (501, b'{"message":"not here"}', True),
        (400, b'{"message":"bad path: /promises"}', True),
        (400, b'{"message":"bad request"}', False),
        (403, b'{"message":"Forbidden"}', False),
        (503, b'{"message":"later"}', False),
        (404, b'{"code":"404","message":"x"}', False),
        (404, b'{"error":"x"}', False),
    ],
)
def test_a_server_without_our_operations_may_leave_the_code_out(
    status: int, body: bytes, expected: bool
) -> None:
    """Who does not have create, info and list says it by the wire of somebody else."""
    for call in (Create("x", Terms()), Info("x"), List(Query())):
        assert expected == is_failure(call, status, body)


# Prefer ---------------------------------------------------------------------


@given(st.integers(0, 10**9 - 1))
def test_the_server_reads_how_long_a_client_would_wait(seconds: int) -> None:
    """The preference comes out as it went in."""
    assert read_prefer(prefer_wait(seconds)) == seconds


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("respond-async, wait=10", 10),
        ("Wait=10", 10),
        ("wait = 10; foo", 10),
        ('wait="10"', 10),
        ("wait=10, wait=20", 10),
        ("", None),
        ("wait", None),
        ("wait=", None),
        ("wait=-1", None),
        ("wait=1.5", None),
        ("wait=1s", None),
        ("wait=99999999999", None),
        ("await=10", None),
        ("wait=²", None),
    ],
)
def test_how_long_a_client_would_wait(header: str, seconds: int | None) -> None:
    """RFC 7240 §2 and §4.3; what is no number of seconds is no preference."""
    assert read_prefer(header) == seconds


@given(st.text())
def test_reading_a_preference_never_fails(header: str) -> None:
    """A header nobody understands is ignored, as RFC 7240 §2 has it."""
    assert read_prefer(header) is None or read_prefer(header) >= 0


def test_the_errors_for_ids_name_them_in_short() -> None:
    """An id that is no string may be huge; its error stays short."""
    assert len(str(InvalidPromiseIdError(10**5000, "it is not a string"))) < 200


@pytest.mark.parametrize("error", ["x" * 2_000_000, "é" * 1_000_000, "\n" * 600_000])
def test_a_long_rejection_can_be_read(error: str) -> None:
    """A message that a server could keep is read, whatever its length."""
    body = write_answer(Rejected(error))

    assert Rejected(error) == read_answer(Peek("x"), 200, body)
    assert Rejected(error) == read_answer(Settle("x", Rejected("")), 200, body)


@pytest.mark.parametrize(
    "body", [rb'{"value":"\ud800"}', b'{"value":1e999}', rb'{"error":"\udfff"}']
)
def test_a_foreign_answer_is_as_strict_as_a_call(body: bytes) -> None:
    """A value that could not be settled here is not taken from a server either."""
    with pytest.raises(ProtocolError, match="the server's answer is not"):
        read_answer(Peek("x"), 200, body)
