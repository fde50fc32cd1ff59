"""Callbacks in terms, on the wire and in stores: as they are asked, as they stand."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

import dp_core as dp
from dp_core.wire import Create, read_call, read_terms, write_call, write_terms

urls = st.from_regex(
    r"https?://[a-z]{1,20}\.example/[a-z?=&%0-9]{0,30}", fullmatch=True
)
callbacks = st.builds(dp.Callback, urls, st.none() | st.uuids().map(str))


@given(st.lists(callbacks, max_size=10))
def test_terms_that_stand_come_back(notify: list[dp.Callback]) -> None:
    """What is written is read, with the ids of the deliveries."""
    terms: dp.Terms[bytes] = dp.Terms(notify=tuple(notify))

    read = read_terms(write_terms(terms))

    assert terms == read
    assert [each.delivery for each in terms.notify] == [
        each.delivery for each in read.notify
    ]


@given(st.lists(callbacks, max_size=10))
def test_a_client_asks_for_urls(notify: list[dp.Callback]) -> None:
    """Ids of deliveries are never sent, and the same URLs are equal terms."""
    call = Create("a", dp.Terms(notify=tuple(notify)))

    path, body = write_call(call)

    assert call == read_call(path, body)
    assert [each.url for each in call.terms.notify] == json.loads(body).get(
        "notify", []
    )


def test_terms_of_old_stores_have_none() -> None:
    """What was written before there were callbacks is read as it was."""
    text = b'{"deadline":null,"otherwise":null,"tags":{"a":"b"},"data":1}'

    assert () == read_terms(text).notify
    assert text == write_terms(read_terms(text))


@pytest.mark.parametrize(
    "notify",
    [
        '"x"',
        "1",
        "{}",
        "[1]",
        '[{"url":"https://x.org"}]',
        '[{"url":1,"delivery":null}]',
    ],
)
def test_other_forms_are_refused(notify: str) -> None:
    """An array of URLs, or what a store has written; nothing else."""
    with pytest.raises(dp.InvalidTermsError, match="array of URLs"):
        read_terms(b'{"notify":%b}' % notify.encode())
