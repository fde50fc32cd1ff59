"""Values: what is accepted, what is refused, and where."""

from __future__ import annotations

import inspect
import json
import math
import sys
from enum import Enum
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dp_core import MAX_DEPTH, InvalidValueError
from dp_core.values import check_text, decode, encode, split_object
from dp_core.values._bigints import _product

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
json_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        texts,
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)
    ),
    max_leaves=20,
)


def same(one: object, two: object) -> bool:
    """Compare as JSON does: 1, 1.0 and True are three values."""
    return repr(one) == repr(two)


# Values ----------------------------------------------------------------------


@given(json_values)
def test_every_json_value_survives(value: Any) -> None:
    """What was written is what is read, types of numbers included."""
    assert same(value, decode(encode(value)))


@given(json_values)
def test_the_text_is_json_without_white_space(value: Any) -> None:
    """Another JSON parser reads the same, and would write it as compactly."""
    text = encode(value).decode()

    assert same(value, json.loads(text))
    compact = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    assert text == compact


@given(json_values, st.sampled_from([None, 1, "\t"]), st.booleans())
def test_foreign_text_is_kept_but_for_white_space(
    value: Any, indent: int | str | None, ascii: bool
) -> None:
    """Whatever its layout, foreign text keeps its value and its spelling."""
    foreign = json.dumps(value, indent=indent, ensure_ascii=ascii).encode()

    kept = check_text(foreign)

    assert same(value, decode(kept))
    assert kept == json.dumps(value, separators=(",", ":"), ensure_ascii=ascii).encode()


@pytest.mark.parametrize("digits", [4300, 4301, 10_001, 100_000])
@pytest.mark.parametrize("sign", [1, -1])
def test_integers_of_any_size_survive_exactly(digits: int, sign: int) -> None:
    """Beyond the interpreter's limit for digits too, which stays as it is."""
    limit = sys.get_int_max_str_digits()
    number = sign * (10**digits - 7)

    assert number == decode(encode(number))
    assert limit == sys.get_int_max_str_digits()


@given(st.integers(min_value=-(2**20_000), max_value=2**20_000))
@example(0)
@example(-1)
def test_big_integers_are_plain_digits(number: int) -> None:
    """The divide-and-conquer conversions agree with the interpreter's own."""
    sys.set_int_max_str_digits(0)
    try:
        digits = str(number).encode()
    finally:
        sys.set_int_max_str_digits(4300)

    assert digits == encode(number)
    assert number == decode(digits)


def test_a_product_in_steps_is_the_product() -> None:
    """Numbers of which a product would hold the interpreter are exact, too."""
    one, other = 3**400_000 + 1, 7**300_000 - 1

    assert one * other == _product(one, other)
    assert one * one == _product(one, one)


def test_foreign_numbers_pass_through_digit_by_digit() -> None:
    """A number too precise for a float is kept for those who can read it."""
    assert b"[0.1234567890123456789,1E2,-0]" == check_text(
        b"[0.1234567890123456789, 1E2, -0]"
    )


class Colour(Enum):
    RED = 1


holds_itself: list[Any] = []
holds_itself.append(holds_itself)

REFUSED: list[tuple[Any, str, str]] = [
    (math.nan, "$", "JSON has no nan"),
    ([1, math.inf], "$[1]", "JSON has no inf"),
    ({"a": [{"b": -math.inf}]}, "$.a[0].b", "JSON has no -inf"),
    ({1: 2}, "$", "1 is not a string, and so not a key"),
    ({10**5000: 2}, "$", "an object of type int is not a string"),
    ({"a": {None: 1}}, "$.a", "None is not a string"),
    ({"a b": {"\ud800": 1}}, "$['a b']['\\ud800']", "lone surrogate"),
    (["x", "\udfff"], "$[1]", "lone surrogate"),
    (b"bytes", "$", "or settle by a handle that has the value's type"),
    ({"when": {1, 2}}, "$.when", "set is not a JSON type"),
    (Colour.RED, "$", "Colour is not a JSON type"),
    (object, "$", "type is not a JSON type"),
    (holds_itself, "$[0]", "nests deeper than 128 levels, or holds itself"),
]


@pytest.mark.parametrize(("value", "place", "reason"), REFUSED)
def test_what_is_not_json_is_refused_with_its_place(
    value: Any, place: str, reason: str
) -> None:
    """The error says where in the value, and what is wrong there."""
    with pytest.raises(InvalidValueError) as caught:
        encode(value)

    assert caught.value.place.startswith(place)
    assert reason in caught.value.reason


REFUSED_TEXTS: list[tuple[bytes, str]] = [
    (b"", "Expecting value"),
    (b"garbage", "Expecting value"),
    (b"1 2", "Extra data"),
    (b"[1,]", "line 1"),
    (b"'x'", "Expecting value"),
    (b"\xff", "not UTF-8"),
    (b"\xef\xbb\xbf1", "Expecting value"),
    (b'"\x01"', "control character"),
    (b"NaN", "JSON has no NaN"),
    (b"[-Infinity]", "JSON has no -Infinity"),
    (b"1e400", "JSON has no inf"),
    (b'{"a":1,"a":2}', "the key 'a' is there twice"),
    (b'{"a":1,"\\u0061":2}', "the key 'a' is there twice"),
    (b'["\\ud800"]', "lone surrogate"),
    (b'{"\\udc00":1}', "lone surrogate"),
    (b"[" * 129 + b"]" * 129, "nests deeper"),
    (b"[" * 100_000, "nests deeper"),
    (b'{"a":' * 100_000, "nests deeper"),
]


@pytest.mark.parametrize(
    ("text", "reason"),
    REFUSED_TEXTS,
    ids=[f"{text[:16]}-{len(text)}" for text, _ in REFUSED_TEXTS],
)
def test_foreign_text_that_is_not_strict_json_is_refused(
    text: bytes, reason: str
) -> None:
    """What other parsers would read differently, or not at all, never gets in."""
    with pytest.raises(InvalidValueError) as caught:
        check_text(text)

    assert reason in caught.value.reason


@given(st.binary(max_size=40))
def test_foreign_bytes_are_read_or_refused(data: bytes) -> None:
    """No input makes the codec fail in any other way."""
    try:
        text = check_text(data)
    except InvalidValueError:
        return
    assert text == check_text(text)


def test_the_deepest_value_is_accepted() -> None:
    """The limit is exact: 128 levels pass, in both directions."""
    deepest = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH

    assert deepest == check_text(deepest)
    assert deepest == encode(decode(deepest))


def test_a_value_is_refused_where_the_callers_stack_has_no_room_for_it() -> None:
    """Whoever calls from deep inside gets an error of ours, and no RecursionError."""
    value: Any = 10**30
    for _ in range(MAX_DEPTH - 1):
        value = [value]
    room = sys.getrecursionlimit() - len(inspect.stack()) - 60

    def deeper(levels: int) -> bytes:
        return deeper(levels - 1) if levels else encode(value)

    with pytest.raises(InvalidValueError, match="nests deeper"):
        deeper(room)
    assert b"[" * (MAX_DEPTH - 1) + b"1000" == deeper(0)[: MAX_DEPTH + 3]


def test_the_size_limit_is_exact_and_counts_bytes() -> None:
    """The limit is on the text in UTF-8, quotes included."""
    assert 10 == len(encode("é" * 4, limit=10))
    for too_long in (lambda: encode("é" * 5, 10), lambda: check_text(b"1" * 11, 10)):
        with pytest.raises(InvalidValueError, match="over the limit of 10"):
            too_long()
    # White space does not count, because it is not kept.
    assert b"[1,2]" == check_text(b" [ 1 ,  2 ] ", 5)


# Objects in parts ------------------------------------------------------------


@given(st.dictionaries(texts, json_values, max_size=5), st.sampled_from([None, 2]))
def test_an_object_is_split_into_its_members(
    members: dict[str, Any], indent: int | None
) -> None:
    """Each member's text is the one it came with."""
    text = json.dumps(members, indent=indent).encode()

    parts = split_object(text)

    assert list(members) == list(parts)
    for key, part in parts.items():
        assert same(members[key], decode(part))
        assert part in text


@pytest.mark.parametrize(
    "text", [b"", b" ", b"null", b"[]", b'"{"', b"{", b'{"a"', b'{"a":1,"a":1}', b"{}}"]
)
def test_what_is_no_object_is_not_split(text: bytes) -> None:
    """Splitting is as strict as reading."""
    with pytest.raises(InvalidValueError):
        split_object(text)


HIDDEN = {
    "a surrogate in a value": rb'["\ud800"]',
    "a surrogate in a key, in capitals": rb'{"\uDFFF":1}',
    "the wrong half first": rb'"\udc00\ud800"',
    "a large exponent": b"[1e400]",
    "a large exponent with zeros before it": b"-1E+0400",
    "many digits with a small exponent": b"1" * 250 + b"e99",
    "many digits with a fraction": b"1" * 310 + b".5",
    "lists, one too deep": b"[" * 129 + b"]" * 129,
    "lists in objects, one too deep": b'[{"a":' * 64 + b"[1]" + b"}]" * 64,
    "deep beside shallow": b"[[],[[]]," + b"[" * 128 + b"]" * 128 + b",[]]",
    "brackets in strings beside it": b'["]]]]",' + b"[" * 128 + b"]" * 128 + b"]",
}


@pytest.mark.parametrize("text", HIDDEN.values(), ids=HIDDEN)
def test_what_the_decoder_lets_pass_is_found(text: bytes) -> None:
    """Foreign text that no value could be written as is refused, with its place."""
    with pytest.raises(InvalidValueError) as caught:
        check_text(text)

    assert caught.value.place.startswith("$")


HARMLESS = {
    "a pair of surrogates": rb'"\ud83d\ude00"',
    "a backslash before u": rb'"\\ud800"',
    "a long integer": b"9" * 5000,
    "a large exponent of nothing": b"0e999",
    "digits in a string": b'"' + b"1" * 400 + b"e999" + b'"',
    "lists, as deep as may be": b"[" * 128 + b"]" * 128,
    "many lists, none deep": b"[" + b"[]," * 5000 + b"[]]",
    "brackets in a string": b'"' + b"[" * 500 + b'"',
    "white space in a string": b'[" [ 1 ]\\" "]',
}


@pytest.mark.parametrize("text", HARMLESS.values(), ids=HARMLESS)
def test_what_only_looks_like_it_passes_unchanged(text: bytes) -> None:
    """Foreign text is not refused for its looks, and comes back byte for byte."""
    assert text == check_text(text)
