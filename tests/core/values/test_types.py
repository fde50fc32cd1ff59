"""Types that msgspec reads: what comes back, in which form, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, Flag, IntEnum
from secrets import token_hex
from typing import (
    Annotated,
    Any,
    Generic,
    Literal,
    NamedTuple,
    NewType,
    NotRequired,
    TypedDict,
    TypeVar,
)
from uuid import UUID

import attrs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dp_core as dp
from dp_core.values import MAX_VALUE_BYTES, decode, encode, value_type
from dp_core.values._typed._msgspec import MsgspecType

T = TypeVar("T")


@dataclass
class Invoice:
    number: str
    total: float
    lines: list[str] = field(default_factory=list)


@dataclass
class Tree:
    size: int
    parts: list[Tree] = field(default_factory=list)


class Address(TypedDict):
    city: str
    since: NotRequired[date]


class Point(msgspec.Struct):
    x: int
    y: int


class Box(msgspec.Struct, Generic[T]):
    item: T


class Paid(msgspec.Struct, tag="paid", rename="camel", forbid_unknown_fields=True):
    paid_at: datetime


class Refused(msgspec.Struct, tag="refused", omit_defaults=True):
    why: str = "no"


class Row(msgspec.Struct, array_like=True):
    x: int


@dataclass
class Holding:
    thing: Any


class Pair(NamedTuple):
    left: int
    right: str


class Level(IntEnum):
    LOW = 1


class Colour(Enum):
    RED = "red"


class Right(Flag):
    READ = 1
    WRITE = 2


Cents = NewType("Cents", int)
Order = Paid | Refused
NOON = datetime(2026, 3, 4, 12, 0, 0, 7, UTC)
ODD = timezone(timedelta(seconds=3208))
NUMBER = UUID(int=5)

KEPT: list[tuple[Any, Any, str]] = [
    (Invoice("a", 1.5), Invoice, '{"number":"a","total":1.5,"lines":[]}'),
    ([Invoice("a", 2)], list[Invoice], '[{"number":"a","total":2,"lines":[]}]'),
    (Tree(1, [Tree(2)]), Tree, '{"size":1,"parts":[{"size":2,"parts":[]}]}'),
    ({"city": "Ulm"}, Address, '{"city":"Ulm"}'),
    (
        {"city": "Ulm", "since": date(2020, 1, 2)},
        Address,
        '{"city":"Ulm","since":"2020-01-02"}',
    ),
    (Point(1, 10**30), Point, f'{{"x":1,"y":{10**30}}}'),
    (Box(NUMBER), Box[UUID], f'{{"item":"{NUMBER}"}}'),
    (Box([1]), Box, '{"item":[1]}'),
    (
        Paid(NOON),
        Order,
        '{"type":"paid","paidAt":"2026-03-04T12:00:00.000007Z"}',
    ),
    (Refused(), Order, '{"type":"refused"}'),
    (Row(1), Row, "[1]"),
    (Pair(1, "x"), Pair, '[1,"x"]'),
    ((1, "x"), tuple[int, str], '[1,"x"]'),
    ((1, 2), tuple[int, ...], "[1,2]"),
    (Level.LOW, Level, "1"),
    (Colour.RED, Colour, '"red"'),
    ({Colour.RED: 1}, dict[Colour, int], '{"red":1}'),
    (Right.READ | Right.WRITE, Right, "3"),
    (NOON, datetime, '"2026-03-04T12:00:00.000007Z"'),
    (datetime(2026, 3, 4), datetime, '"2026-03-04T00:00:00"'),  # noqa: DTZ001 - naive is kept as it is
    (
        datetime(2026, 3, 4, tzinfo=timezone(timedelta(hours=-3.5))),
        datetime,
        '"2026-03-04T00:00:00-03:30"',
    ),
    (date(2026, 3, 4), date, '"2026-03-04"'),
    (time(1, 2, 3, 4), time, '"01:02:03.000004"'),
    (timedelta(-1, 5), timedelta, '"-PT86395S"'),
    (NUMBER, UUID, f'"{NUMBER}"'),
    (Decimal("1.10"), Decimal, '"1.10"'),
    (b"\xff\x00", bytes, '"/wA="'),
    ({1}, set[int], "[1]"),
    (frozenset({b"\xff"}), frozenset[bytes], '["/w=="]'),
    ({date(2020, 1, 2): 1}, dict[date, int], '{"2020-01-02":1}'),
    ({1: "a"}, dict[int, str], '{"1":"a"}'),
    ({2: "a"}, dict[Literal[1, 2], str], '{"2":"a"}'),
    ({2: "a"}, dict[Annotated[int, msgspec.Meta(title="n")], str], '{"2":"a"}'),
    ([1], Sequence[int], "[1]"),
    ({"a": 1}, Mapping[str, int], '{"a":1}'),
    ("no", Literal["yes", "no", 1], '"no"'),
    (None, Invoice | None, "null"),
    (None, None, "null"),
    ("a", int | str, '"a"'),
    (5, Cents, "5"),
    (5, Annotated[int, msgspec.Meta(ge=5)], "5"),
    (5, Annotated[int, {"no": "hash"}], "5"),
    ({"a": [1, None]}, dict[str, Any], '{"a":[1,null]}'),
    ([1, "a"], list, '[1,"a"]'),
]


def text_of(value: Any, type_: Any) -> bytes:
    """Return the text as which a value is kept."""
    return value_type(type_).draft(value, MAX_VALUE_BYTES).text()


@pytest.mark.parametrize(
    ("value", "type_", "text"),
    KEPT,
    ids=[f"{n} {case[2]}" for n, case in enumerate(KEPT)],
)
async def test_a_value_comes_back_as_itself(value: Any, type_: Any, text: str) -> None:
    """Whatever is read of a type can be written, and everybody reads it alike."""
    assert isinstance(value_type(type_), MsgspecType)
    promises = dp.connect(f"memory:{token_hex(8)}")
    promise: dp.DurablePromise[Any] = promises.promise(text, type_)

    won = await promise.resolve(value)
    stored = await promises.backend.peek(text)

    assert dp.Resolved(text.encode()) == stored
    assert dp.Resolved(value) == won == await promise.peek()
    assert type(value) is type(await promise)


moments = st.datetimes(timezones=st.sampled_from([None, UTC]))


@given(
    st.dictionaries(
        st.integers(),
        st.tuples(moments, st.timedeltas(), st.binary(), st.uuids()),
        max_size=3,
    ),
    st.sets(st.decimals(allow_nan=False, allow_infinity=False), max_size=3),
)
def test_any_value_comes_back_as_itself(
    table: dict[int, Any], numbers: set[Decimal]
) -> None:
    """Nothing is rounded, cut off or mixed up, whatever the value."""
    kind = value_type(dict[int, tuple[datetime, timedelta, bytes, UUID]])
    assert table == kind.read(kind.draft(table, MAX_VALUE_BYTES).text())
    assert numbers == value_type(set[Decimal]).read(text_of(numbers, set[Decimal]))


def test_any_is_plain_json() -> None:
    """A type that is JSON is no wider than JSON: nothing is written as text in it."""
    for value, type_ in [([NOON], list[Any]), ({1: 2}, dict), (b"a", str)]:
        with pytest.raises(dp.InvalidValueError):
            text_of(value, type_)
    with pytest.raises(dp.InvalidValueError, match="datetime is not a JSON type"):
        encode([NOON])


def deep(levels: int) -> Tree:
    """Return a tree of so many levels."""
    tree = Tree(1)
    for _ in range(levels):
        tree = Tree(1, [tree])
    return tree


def endless() -> Tree:
    """Return a tree that is below itself."""
    tree = Tree(1)
    tree.parts.append(tree)
    return tree


class Unset(msgspec.Struct):
    later: int


def unset() -> Unset:
    """Return an object without one of its attributes."""
    thing = Unset(1)
    del thing.later
    return thing


@pytest.mark.parametrize(
    ("value", "type_", "said"),
    [
        (Invoice("a", math.nan), Invoice, "at $.total: JSON has no nan"),
        ([Invoice("\ud800", 1)], list[Invoice], "at $[0].number: a lone surrogate"),
        (deep(200), Tree, "nests deeper than 128 levels"),
        (endless(), Tree, "nests deeper than 128 levels, or holds itself"),
        (b"x" * MAX_VALUE_BYTES, bytes, "over the limit of 1,048,576"),
        (Holding({"when": [NOON]}), Holding, "read as str - at `$.thing.when[0]`"),
        (Box(NUMBER), Box, "UUID would be read as str - at `$.item`"),
        (NOON.astimezone(ODD), datetime, "its offset from UTC has seconds"),
        (object(), datetime, "Encoding objects of type object is unsupported"),
        (unset(), Unset, "AttributeError"),
    ],
    ids=[
        "nan",
        "surrogate",
        "deep",
        "endless",
        "long",
        "any",
        "open",
        "odd",
        "object",
        "unset",
    ],
)
async def test_what_json_cannot_hold_is_refused(
    value: Any, type_: Any, said: str
) -> None:
    """A typed value is as strict as a plain one, and what is less settles nothing."""
    promise: dp.DurablePromise[Any] = dp.connect(f"memory:{token_hex(8)}").promise(
        "x", type_
    )

    with pytest.raises(dp.CodecError) as caught:
        await promise.resolve(value)

    assert said in str(caught.value)
    assert dp.Pending() == await promise.peek()


@pytest.mark.parametrize(
    ("text", "type_", "said"),
    [
        (b'{"number":"a","total":"much"}', Invoice, "got `str` - at `$.total`"),
        (b'[{"number":"a"}]', list[Invoice], "missing required field `total`"),
        (b'{"type":"paid","paidAt":5}', Order, "got `int` - at `$.paidAt`"),
        (b'{"type":"paid","x\\n":5}', Order, "unknown field `x\\u000a`"),
        (b'{"number":"a","number":"b"}', Invoice, "'number' is there twice"),
        (b'["1","2"]', tuple[int, int], "at `$[0]`"),
        (b'"%%"', bytes, "Invalid base64 encoded string"),
        (b"1e999", Decimal, "JSON has no inf"),
    ],
)
def test_a_mismatch_names_the_place(text: bytes, type_: Any, said: str) -> None:
    """The error says what did not fit, and where; foreign text in it is harmless."""
    with pytest.raises(dp.CodecError) as caught:
        value_type(type_).read(text)

    assert said in str(caught.value)


def test_a_mismatch_names_the_type_as_it_was_written() -> None:
    """A list of something is not called a list."""
    for type_, name in [(Invoice, "Invoice"), (list[int], "list[int]")]:
        with pytest.raises(dp.ValueMismatchError) as caught:
            value_type(type_).read(b"5")
        assert name == caught.value.type_name


class Awkward(msgspec.Struct):
    x: int

    def __post_init__(self) -> None:
        raise RuntimeError("no\nway" if self.x else "")


def test_errors_of_a_types_own_code_become_ours() -> None:
    """Whatever a type does when it is made, the caller sees an error of ours."""
    with pytest.raises(dp.ValueMismatchError, match="RuntimeError: no way"):
        value_type(Awkward).read(b'{"x":1}')


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (unset(), "AttributeError"),
        (endless(), "it nests deeper than 128 levels, or holds itself"),
        (Holding({"thing": object()}), "Encoding objects of type object"),
    ],
    ids=["unset", "endless", "object"],
)
def test_an_object_that_json_cannot_hold_is_refused_without_a_type_too(
    value: object, said: str
) -> None:
    """It is an error of ours that says where, and not one of the encoder's."""
    with pytest.raises(dp.InvalidValueError, match=r"at \$") as caught:
        encode([value])
    assert said in str(caught.value)


@attrs.define
class Counted:
    total: int


@pytest.mark.parametrize("kind", [Tree, Counted])
def test_an_object_without_a_type_holds_numbers_of_any_size(kind: Any) -> None:
    """What JSON has no limit for is written, whoever brought the class."""
    assert 10**30 in decode(encode([kind(10**30)]))[0].values()


def test_a_type_may_grow() -> None:
    """A field with a default may be added and one may be dropped: old values fit."""
    old = text_of(Invoice("a", 1.0, ["x"]), Invoice)

    @dataclass
    class Grown:
        number: str
        currency: str = "EUR"

    assert Grown("a", "EUR") == value_type(Grown).read(old)


def test_types_that_are_equal_are_told_apart() -> None:
    """A literal of 1 is not one of True, though both are one key of a table."""
    assert value_type(Literal[True]).read(b"true") is True
    with pytest.raises(dp.ValueMismatchError):
        value_type(Literal[1]).read(b"true")


async def test_terms_are_typed_too() -> None:
    """What a promise settles to after its deadline is of its type, for everybody."""
    promises = dp.connect(f"memory:{token_hex(8)}")
    late = dp.Resolved({NOON})
    promise = await promises.create(
        "late", set[datetime], deadline=timedelta(days=-1), otherwise=late
    )

    assert promise.terms is not None
    assert late == promise.terms.otherwise == await promise.peek()
    with pytest.raises(dp.ValueMismatchError, match="- at"):
        await promises.create(
            "x",
            list[datetime],
            deadline=timedelta(days=1),
            otherwise=dp.Resolved(["soon"]),  # type: ignore[list-item] # the fact
        )
