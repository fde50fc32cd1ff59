"""Terms, infos and pages on the wire: what is written is read, and nothing else is."""

from __future__ import annotations

import json
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
    settled = not isinstance(state, Pending)
    return PromiseInfo(
        draw(TEXT),
        state,
        given,
        None if given is None else draw(MOMENTS),
        draw(MOMENTS) if settled else None,
        getattr(state, "by", None),
        settled and draw(st.booleans()),
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


@pytest.mark.parametrize("case", BAD_INFOS)
def test_a_strangers_answer_is_not_taken_for_an_info(case: str) -> None:
    """What no server of ours writes is refused."""
    members = json.loads(write_info(PromiseInfo("a", Pending()))) | BAD_INFOS[case]
    text = json.dumps(members).encode()

    with pytest.raises(ProtocolError):
        read_answer(Info("a"), 200, text)


def test_an_answer_about_another_promise_is_refused() -> None:
    """An info, and the terms that a create is told, are of the promise asked for."""
    other = PromiseInfo("b", Pending(), Terms(), datetime(2026, 1, 1, tzinfo=UTC))
    for call in (Info("a"), Create("a", Terms())):
        with pytest.raises(ProtocolError, match="another promise"):
            read_answer(call, 200, write_info(other))
    with pytest.raises(ProtocolError, match="no terms"):
        read_answer(Create("a", Terms()), 200, write_info(PromiseInfo("a", Pending())))
