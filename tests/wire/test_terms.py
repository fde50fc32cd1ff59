"""Terms, infos and pages on the wire: what is written is read, and nothing else is."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dp_core import (
    CorruptPromiseError,
    DurablePromiseError,
    InvalidQueryError,
    InvalidTermsError,
    Outcome,
    Pending,
    PromiseInfo,
    ProtocolError,
    Query,
    Rejected,
    Resolved,
    State,
    Terms,
)
from dp_core.backend import Page
from dp_core.values import encode
from dp_core.wire import (
    Create,
    Info,
    List,
    Settle,
    read_answer,
    read_call,
    read_get,
    read_info,
    read_moment,
    read_terms,
    write_call,
    write_info,
    write_moment,
    write_page,
    write_terms,
)

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
KEY = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=20
)
VALUES = st.one_of(
    TEXT.map(encode),
    st.integers().map(encode),
    st.sampled_from([b"null", b"[1e2,1.0]", b'{"b":[],"a":{"error":"x"}}', b"true"]),
)
MOMENTS = st.timedeltas(timedelta(), timedelta(days=365 * 9900)).map(
    lambda since: datetime(2, 1, 1, tzinfo=UTC) + since
)
BY = st.none() | TEXT.filter(bool)
OUTCOMES: st.SearchStrategy[Outcome[bytes]] = st.one_of(
    st.builds(Resolved, VALUES, by=BY), st.builds(Rejected, TEXT, by=BY)
)
TAGS = st.dictionaries(
    KEY.filter(lambda key: not set(key) & set(":=\0")), TEXT, max_size=4
)


@st.composite
def terms(draw: st.DrawFn) -> Terms[bytes]:
    """Return any terms that stand."""
    deadline = draw(st.none() | MOMENTS)
    otherwise = draw(OUTCOMES) if deadline is not None else None
    data = draw(st.none() | VALUES.filter(lambda text: text != b"null"))
    return Terms(deadline, otherwise, draw(TAGS), data)


@st.composite
def infos(draw: st.DrawFn) -> PromiseInfo[bytes]:
    """Return what a store may know of a promise."""
    state: State[bytes] = draw(st.just(Pending()) | OUTCOMES)
    given = draw(st.none() | terms())
    expired = given is not None and given.deadline is not None and draw(st.booleans())
    if expired:
        assert given is not None
        assert given.otherwise is not None
        state = replace(given.otherwise, by=None)
    settled = not isinstance(state, Pending)
    return PromiseInfo(
        draw(TEXT),
        state,
        given,
        None if given is None else draw(MOMENTS),
        draw(MOMENTS) if settled else None,
        getattr(state, "by", None),
        expired,
        draw(st.none() | TEXT),
    )


@given(terms())
def test_terms_come_back(given: Terms[bytes]) -> None:
    """The JSON of terms says all of them."""
    assert given == read_terms(write_terms(given))


@given(infos())
def test_what_is_known_comes_back(info: PromiseInfo[bytes]) -> None:
    """The JSON of what is known of a promise says all of it, and who settled."""
    back = read_info(write_info(info))

    assert info == back
    assert getattr(info.state, "by", None) == getattr(back.state, "by", None)


@given(st.lists(infos(), max_size=3), st.none() | TEXT)
def test_pages_come_back(infos: list[PromiseInfo[bytes]], after: str | None) -> None:
    """The JSON of a page has its promises, its cursor, and what cannot be read."""
    page = Page(tuple(infos), after)
    back = read_answer(List(Query()), 200, write_page(page, {"x": "it is damaged"}))

    assert (page.infos, after) == (back.infos, back.after)
    [(id, error)] = back.failures
    assert ("x", "it is damaged") == (id, str(error))
    assert isinstance(error, CorruptPromiseError)
    assert page == read_answer(List(Query()), 200, write_page(page, {}))


@given(TEXT.filter(bool), terms())
def test_a_create_is_read_as_it_was_written(id: str, given: Terms[bytes]) -> None:
    """The request of a create says its id and its terms."""
    asked = given if given.data is None or len(given.data) < 1000 else Terms()
    call = Create(id, asked)

    assert call == read_call(*write_call(call))


def test_a_time_from_now_is_sent_as_one() -> None:
    """The store's clock is what it is added to, and not that of whoever asks."""
    within = timedelta(days=3, microseconds=1)
    asked: Terms[bytes] = Terms(datetime(2026, 1, 1, tzinfo=UTC), within=within)
    path, body = write_call(Create("a", asked))

    assert 259200.000001 == json.loads(body)["deadline"]
    call = read_call(path, body)
    assert isinstance(call, Create)
    assert within == call.terms.within


def test_who_settles_is_sent_and_read() -> None:
    """A name beside the value stands in the body; without one there is no member."""
    for outcome in (Resolved(b"1", by="älice"), Rejected("no", by="bob")):
        path, body = write_call(Settle("a", outcome), in_path=True)
        call = read_call(path, body)
        assert isinstance(call, Settle)
        assert outcome.by == call.outcome.by
    assert b"by" not in write_call(Settle("a", Resolved(b"1")))[1]


@given(
    st.sampled_from([None, "pending", "resolved", "rejected"]),
    TAGS,
    TEXT,
    st.booleans(),
    st.none() | TEXT,
    st.integers(1, 1000),
)
def test_a_query_is_read_as_it_was_written(
    state: Any, tags: dict[str, str], prefix: str, newest: bool, after: Any, limit: int
) -> None:
    """The query string says all of a query but the patterns of a token."""
    call = List(Query(state, tags, prefix, newest), after, limit)
    path, _, query = write_call(call)[0].partition("?")

    assert call == read_get(path, query)


def test_one_promise_is_asked_for_by_its_path() -> None:
    """Any id can stand there, percent-encoded."""
    assert Info("a/ü?") == read_get("/promises/a%2F%C3%BC%3F", "")


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ("state=over", "over"),
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=1e3", "limit"),
        ("limit=" + "9" * 5000, "limit"),
        ("limit=" + "0" * 9 + "1" * 5000, "limit"),
        ("limit=0000000019999", "limit"),
        ("limit=1&limit=1", "twice"),
        ("after=&after=", "twice"),
        ("newest=yes", "newest"),
        ("newest", "valid"),
        ("tag=a:1&tag=a:2", "twice"),
        ("prefix=a&prefix=b", "twice"),
        ("offset=3", "offset"),
        ("prefix=%FF", "valid"),
        ("tag=%00:1", "NUL"),
        ("tag=order=17", "write KEY:VALUE"),
        ("tag=order%3D17:", "write KEY:VALUE"),
        ("&".join(f"tag={n}:" for n in range(33)), "32"),
        ("&".join(f"tag={n}:" for n in range(2000)), "valid"),
    ],
)
def test_a_query_that_is_not_one_is_refused(query: str, word: str) -> None:
    """The error names what is wrong, whatever a stranger has sent."""
    with pytest.raises((ProtocolError, InvalidQueryError), match=word):
        read_get("/promises", query)


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-26T14:30:00Z",
        "2026-11-26t14:30:00.250z",
        "2026-11-26T15:30:00.25+01:00",
        "2026-11-26 14:30:00.123456789-00:30",
    ],
)
def test_moments_of_rfc_3339_are_read(text: str) -> None:
    """With their zones, whatever case and however many digits."""
    assert UTC == read_moment(text).tzinfo


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-11-26",
        "2026-11-26T14:30:00",
        "2026-11-26T14:30Z",
        "20261126T143000Z",
        "2026-W48-4T14:30:00Z",
        "2026-02-30T14:30:00Z",
        "2026-11-26T24:30:00Z",
        "0001-01-01T00:00:00+23:00",
        "tomorrow",
        "2026-11-26T14:30:00Z\n",
    ],
)
def test_other_moments_are_refused(text: str) -> None:
    """No moment is guessed from a date alone, or one that is not in the calendar."""
    with pytest.raises(InvalidTermsError, match="RFC 3339"):
        read_moment(text)


@given(st.datetimes(timezones=st.just(timezone(timedelta(hours=5, minutes=45)))))
def test_a_moment_comes_back(moment: datetime) -> None:
    """Whatever zone it was in, to the microsecond."""
    if 2 < moment.year < 9998:
        assert moment == read_moment(write_moment(moment))


BAD_TERMS = {
    "no object": "[]",
    "a number of no seconds": '{"deadline":true}',
    "seconds that are too many": '{"deadline":1e300}',
    "digits without end": '{"deadline":%s}' % ("9" * 10_000),
    "a moment without a zone": '{"deadline":"2026-11-26T14:30:00"}',
    "an outcome without a deadline": '{"otherwise":{"value":1}}',
    "an outcome that is none": '{"deadline":1,"otherwise":{}}',
    "two outcomes": '{"deadline":1,"otherwise":{"value":1,"error":"a"}}',
    "an outcome and something else": '{"deadline":1,"otherwise":{"value":1,"by":"a"}}',
    "an error that is no text": '{"deadline":1,"otherwise":{"error":1}}',
    "tags in an array": '{"tags":["a"]}',
    "a tag that is no text": '{"tags":{"a":1}}',
    "a key with a colon": '{"tags":{"a:b":""}}',
    "a tag that is too long": '{"tags":{"a":"%s"}}' % ("x" * 257),
    "tags without end": '{"tags":{"a":"%s"}}' % ("x" * 200_000),
    "data that is too large": '{"data":"%s"}' % ("x" * 2_000_000),
    "data that is not JSON": '{"data":NaN}',
    "a lone surrogate": '{"data":"\\ud800"}',
}


@pytest.mark.parametrize("case", BAD_TERMS)
def test_terms_that_are_none_are_refused(case: str) -> None:
    """By an error of ours, that the wire says as a bad request."""
    with pytest.raises(DurablePromiseError):
        read_terms(BAD_TERMS[case].encode())


BAD_INFOS = {
    "another state": {"state": "pending", "value": 1},
    "no state": {"state": None},
    "no id": {"promiseId": None},
    "a moment that is a number": {"createdAt": 17},
    "expired as a word": {"expired": "yes"},
    "who settled as a number": {"settledBy": 1},
    "two outcomes": {"state": "resolved", "value": 1, "error": "a"},
}
NEVER = {"createdAt": None, "deadline": None, "otherwise": None, "tags": None}
CONTRADICTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "pending, with a time": ({"settledAt": "2026-01-01T00:00:00Z"}, "was settled"),
    "pending, by somebody": ({"settledBy": "alice"}, "was settled"),
    "pending, and expired": ({"expired": True}, "expired"),
    "a moving deadline": ({"deadline": 60}, "not a moment"),
    "tags of nobody": (NEVER | {"tags": {}}, "not created"),
    "data of nobody": (NEVER | {"data": 0}, "not created"),
    "expired, and never created": (
        NEVER | {"state": "rejected", "error": "late", "expired": True},
        "no deadline",
    ),
    "expired, without a deadline": (
        {"state": "rejected", "error": "late", "expired": True}
        | {"deadline": None, "otherwise": None},
        "no deadline",
    ),
    "expired, by somebody": (
        {"state": "rejected", "error": "late", "expired": True, "settledBy": "al"},
        "somebody",
    ),
    "expired, to another message": (
        {"state": "rejected", "error": "no", "expired": True},
        "something else",
    ),
    "expired, to a value": (
        {"state": "resolved", "value": "late", "expired": True},
        "something else",
    ),
}


@pytest.mark.parametrize("case", BAD_INFOS)
def test_a_strangers_answer_is_not_taken_for_an_info(case: str) -> None:
    """What no server of ours writes is refused."""
    members = json.loads(write_info(PromiseInfo("a", Pending()))) | BAD_INFOS[case]
    text = json.dumps(members).encode()

    with pytest.raises(ProtocolError):
        read_answer(Info("a"), 200, text)


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_what_contradicts_itself_is_not_believed(case: str) -> None:
    """By no call, and in no page: whoever says so is not a server of promises."""
    terms: Terms[bytes] = Terms(datetime(2027, 1, 1, tzinfo=UTC), Rejected("late"))
    created = datetime(2026, 1, 1, tzinfo=UTC)
    right = write_info(PromiseInfo("a", Pending(), terms, created))
    change, why = CONTRADICTIONS[case]
    info = json.dumps(json.loads(right) | change).encode()

    for call in (Info("a"), Create("a", terms), List(Query())):
        body = b'{"promises":[%b],"after":null}'
        with pytest.raises(ProtocolError, match=why):
            read_answer(call, 200, body % info if isinstance(call, List) else info)


@pytest.mark.parametrize(
    "change",
    [
        {"deadline": "2025-01-01T00:00:00Z"},
        {"state": "resolved", "value": 1},
        {"state": "resolved", "value": 1, "settledAt": "2020-01-01T00:00:00Z"},
        {"state": "rejected", "error": "late", "settledBy": "al"},
        {"state": "resolved", "value": {"b": 1, "a": 2}, "expired": True}
        | {"otherwise": {"value": {"a": 2.0, "b": 1}}},
        {"tags": None, "cursor": None},
        {"later": "versions may say more"},
    ],
)
def test_what_may_be_true_is_believed(change: dict[str, Any]) -> None:
    """Clocks differ, old stores did not keep all, and a number has many spellings."""
    terms: Terms[bytes] = Terms(datetime(2027, 1, 1, tzinfo=UTC), Rejected("late"))
    created = datetime(2026, 1, 1, tzinfo=UTC)
    right = json.loads(write_info(PromiseInfo("a", Pending(), terms, created)))

    assert "a" == read_answer(Info("a"), 200, json.dumps(right | change).encode()).id


@pytest.mark.parametrize(
    "query",
    [Query("resolved"), Query(tags={"k": "w"}), Query(prefix="b")],
)
def test_what_was_not_asked_for_is_not_a_page(query: Query) -> None:
    """A server that knows no tags would have others' promises pruned."""
    created = datetime(2026, 1, 1, tzinfo=UTC)
    info = PromiseInfo("a", Pending(), Terms(tags={"k": "v"}), created)
    page = write_page(Page((info,), None), {})

    for right in (Query(), Query("pending", {"k": "v"}, "a"), Query(ids=("b",))):
        assert (info,) == read_answer(List(right), 200, page).infos
    with pytest.raises(ProtocolError, match="'a' is, which was not asked for"):
        read_answer(List(query), 200, page)


def test_an_answer_about_another_promise_is_refused() -> None:
    """An info, and the terms that a create is told, are of the promise asked for."""
    other = PromiseInfo("b", Pending(), Terms(), datetime(2026, 1, 1, tzinfo=UTC))
    for call in (Info("a"), Create("a", Terms())):
        with pytest.raises(ProtocolError, match="another promise"):
            read_answer(call, 200, write_info(other))
    with pytest.raises(ProtocolError, match="no terms"):
        read_answer(Create("a", Terms()), 200, write_info(PromiseInfo("a", Pending())))
