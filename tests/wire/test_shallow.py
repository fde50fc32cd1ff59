"""Arrays taken apart without a look at what is in them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dp_core import InvalidValueError
from dp_core.values import split_shallow
from dp_core.values._shallow import _split
from support.wire.samples import VALUES


@given(st.lists(VALUES), st.sampled_from(["", " ", "\n\t "]))
def test_items_come_out_as_they_went_in(items: list[bytes], space: str) -> None:
    """Both ways of doing it return each item to the byte, whatever is around it."""
    white = space.encode()
    text = white + b"[" + white + (white + b"," + white).join(items) + white + b"]"

    assert items == split_shallow(text, 1000)
    assert items == _split(text, 1000)
    assert json.loads(text) == [json.loads(item) for item in _split(text, 1000)]


@pytest.mark.parametrize(
    "wrong",
    [b'"\\ud800"', b"NaN", b'{"a":1,"a":2}', b"[" * 5000 + b"]" * 5000, b"1 2", b"nix"],
    ids=["surrogate", "NaN", "twice", "deep", "two", "word"],
)
def test_a_wrong_item_is_not_in_the_way_of_others(wrong: bytes) -> None:
    """It comes out as it is, for whoever reads it by itself."""
    assert [b"1", wrong, b'{"]":[","]}'] == split_shallow(
        b'[1,%b,{"]":[","]}]' % wrong, 1000
    )


@pytest.mark.parametrize(
    "text",
    [
        *(b"", b" ", b"{}", b'{"a":[]}', b'"[]"', b"[", b"]", b"[]]", b"[1] 2"),
        *(b"[1,]", b"[,1]", b"[,]", b"[[]", b"[}", b'["]"', b"1", b"null", b"\xff"),
    ],
    ids=repr,
)
def test_what_is_not_an_array_is_refused(text: bytes) -> None:
    """Something else, and an array that does not end or ends too early."""
    with pytest.raises(InvalidValueError, match="not an array"):
        split_shallow(text, 1000)


@pytest.mark.parametrize("item", [b"1", b"[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]"])
def test_of_too_many_items_one_too_many_is_returned(item: bytes) -> None:
    """The rest is not taken apart, so a million of them cost nothing."""
    for count in (11, 12, 100_000):
        text = b"[" + b",".join([item] * count) + b"]"
        assert [item] * 11 == split_shallow(text, 10)
    assert [item] * 10 == split_shallow(b"[" + b",".join([item] * 10) + b"]", 10)
