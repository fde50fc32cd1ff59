"""Types that pydantic reads: what comes back, in which form, and what is refused."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from ipaddress import IPv4Address
from pathlib import Path
from secrets import token_hex
from typing import Annotated, Any, Generic, Literal, TypeVar
from uuid import UUID

import pytest
from annotated_types import Gt
from pydantic import (
    AfterValidator,
    Base64Bytes,
    BaseModel,
    ConfigDict,
    Field,
    Json,
    RootModel,
    SecretStr,
    computed_field,
    field_serializer,
    field_validator,
)
from pydantic.dataclasses import dataclass as pydantic_dataclass
from typing_extensions import TypeAliasType, TypedDict

import dp_core as dp
from dp_core.values import MAX_VALUE_BYTES, value_type

T = TypeVar("T")
NOON = datetime(2026, 3, 4, 12, 0, 0, 7, UTC)


class Line(BaseModel):
    model_config = ConfigDict(extra="forbid")

    sku: bytes = Field(min_length=2)
    count: int = Field(1, gt=0)

    @computed_field  # type: ignore[prop-decorator] # mypy knows no decorated property
    @property
    def double(self) -> int:
        return self.count * 2


class Invoice(BaseModel):
    number: str = Field(alias="invoiceNumber")
    total: Decimal
    at: datetime | None = None
    lines: list[Line] = []
    tags: frozenset[str] = frozenset()
    # Names that mean something to pydantic, too.
    metadata: bytes = b"\xfe"
    default: dict[bytes, int] = {}


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)

    at: datetime
    id: UUID
    parts: set[int]
    raw: bytes


class Hexadecimal(BaseModel):
    model_config = ConfigDict(ser_json_bytes="hex", val_json_bytes="hex")

    raw: bytes
    line: Line


class Tree(BaseModel):
    raw: bytes
    parts: list[Tree] = []


class Page(BaseModel, Generic[T]):
    items: list[T]


class Names(RootModel[dict[str, bytes]]):
    pass


class Renamed(BaseModel):
    read: int = Field(validation_alias="theirs")


class Odd(BaseModel):
    # What pydantic has a form of its own for stays as it is.
    once: Base64Bytes
    text: Json[list[int]]


class Shown(BaseModel):
    password: SecretStr

    @field_serializer("password")
    def show(self, secret: SecretStr) -> str:
        return secret.get_secret_value()


class First(BaseModel):
    x: int


class Second(BaseModel):
    x: int
    hidden: date | None = Field(None, exclude=True)


class Host(TypedDict):
    address: IPv4Address
    raw: bytes


@pydantic_dataclass
class Point:
    x: int
    raw: bytes = b"\xff"

    @field_validator("x")
    @classmethod
    def check(cls, x: int) -> int:
        if x == 13:
            raise RuntimeError("no\nway")
        if x < 0:
            raise ValueError("it is below zero")
        return x


@dataclass
class Holder:
    line: Line
    raw: bytes = b"\xff"


class Mixed(Enum):
    ONE = 1
    TWO = "two"


LINE = Line(sku=b"\xff\x00", count=2)
INVOICE = Invoice(invoiceNumber="a", total=Decimal("1.10"), at=NOON, lines=[LINE])
LINE_TEXT = '{"sku":"/wA=","count":2}'
INVOICE_TEXT = (
    '{"invoiceNumber":"a","total":"1.10","at":"2026-03-04T12:00:00.000007Z",'
    f'"lines":[{LINE_TEXT}],"tags":[],"metadata":"/g==","default":{{}}}}'
)
STRICT_TEXT = (
    '{"at":"2026-03-04T12:00:00.000007Z",'
    '"id":"00000000-0000-0000-0000-000000000005","parts":[1],"raw":"/w=="}'
)

KEPT: list[tuple[Any, Any, str]] = [
    (
        INVOICE,
        Invoice,
        INVOICE_TEXT,
    ),
    ([LINE], list[Line], f"[{LINE_TEXT}]"),
    (None, Line | None, "null"),
    (Page[bytes](items=[b"\xff"]), Page[bytes], '{"items":["/w=="]}'),
    (Names({"a": b"\xff"}), Names, '{"a":"/w=="}'),
    (
        Strict(at=NOON, id=UUID(int=5), parts={1}, raw=b"\xff"),
        Strict,
        STRICT_TEXT,
    ),
    (
        Hexadecimal(raw=b"\xff", line=LINE),
        Hexadecimal,
        f'{{"raw":"ff","line":{LINE_TEXT}}}',
    ),
    (
        Tree(raw=b"\xff", parts=[Tree(raw=b"")]),
        Tree,
        '{"raw":"/w==","parts":[{"raw":"","parts":[]}]}',
    ),
    (Renamed(theirs=5), Renamed, '{"read":5}'),
    (Odd(once=b"/w==", text="[1]"), Odd, '{"once":"/w==","text":"[1]"}'),
    (Shown(password=SecretStr("x")), Shown, '{"password":"x"}'),
    (Point(1), Point, '{"x":1,"raw":"/w=="}'),
    (Holder(LINE), Holder, f'{{"line":{LINE_TEXT},"raw":"/w=="}}'),
    (
        {"address": IPv4Address("1.2.3.4"), "raw": b"\xff"},
        Host,
        '{"address":"1.2.3.4","raw":"/w=="}',
    ),
    (Second(x=1), Second | First, '{"x":1}'),
    (Path("/a"), Path, '"/a"'),
    # From Python 3.12 on it is one of msgspec's.
    ([NOON.date()], TypeAliasType("Days", list[date]), '["2026-03-04"]'),
    (Mixed.TWO, Mixed, '"two"'),
    (["a"], list[int] | list[str], '["a"]'),
    (5, Annotated[int, Gt(4)], "5"),
    (5, Annotated[int, Field(gt=4)], "5"),
    (b"\xff", Annotated[bytes, AfterValidator(lambda raw: raw)], '"/w=="'),
    (10**30, int | list[int] | set[str], "1" + "0" * 30),
]
IDS = [f"{number} {text[:30]}" for number, (_, _, text) in enumerate(KEPT)]


@pytest.mark.parametrize(("value", "type_", "text"), KEPT, ids=IDS)
async def test_a_value_comes_back_as_itself(value: Any, type_: Any, text: str) -> None:
    """What pydantic reads can be written, bytes as base64, and everybody reads it."""
    promises = dp.connect(f"memory:{token_hex(8)}")
    promise: dp.DurablePromise[Any] = promises.promise("x", type_)

    won = await promise.resolve(value)
    stored = await promises.backend.peek("x")

    assert dp.Resolved(text.encode()) == stored
    assert dp.Resolved(value) == won == await promise.peek()
    assert type(value) is type(await promise)


def test_types_that_are_equal_are_told_apart() -> None:
    """To Python, ``A | B`` is ``B | A``; to pydantic, the first that fits is meant."""
    for type_, expected in [
        (First | Second, First(x=1)),
        (Second | First, Second(x=1)),
    ]:
        assert expected == value_type(type_).read(b'{"x":1}')


async def test_the_json_of_a_value_is_taken_too() -> None:
    """Whoever has it as JSON need not make an object of it first."""
    promise: dp.DurablePromise[Any] = dp.connect(f"memory:{token_hex(8)}").promise(
        "x", Invoice
    )

    won = await promise.resolve({"invoiceNumber": "a", "total": 5, "lines": []})

    assert dp.Resolved(Invoice(invoiceNumber="a", total=Decimal(5))) == won


async def test_the_json_of_bytes_is_taken_within_a_model_too() -> None:
    """A field that holds text in the place of bytes holds base64, as elsewhere."""
    promise = dp.connect(f"memory:{token_hex(8)}").promise("x", Line)

    won = await promise.resolve(Line.model_construct(sku="AAA="))

    assert dp.Resolved(Line.model_construct(sku=b"\x00\x00")) == won


async def test_what_a_model_leaves_out_is_left_out() -> None:
    """A model that excludes a field means it; ``resolve`` returns what all read."""
    promise = dp.connect(f"memory:{token_hex(8)}").promise("x", Second)

    won = await promise.resolve(Second(x=1, hidden=NOON.date()))

    assert dp.Resolved(Second(x=1)) == won


class Secret(BaseModel):
    password: SecretStr


class Written(BaseModel):
    value: int = Field(serialization_alias="other")


class Loose(BaseModel):
    id: str | date = ""
    keys: dict[int | str, int] = {}
    number: float | None = None
    any: Any = None


class Failing(BaseModel):
    value: int = 0

    @field_serializer("value")
    def fail(self, value: int) -> int:
        raise RuntimeError("no\nway")


class Lookalike:
    def __init__(self) -> None:
        self.number = 5.0


@pytest.mark.parametrize(
    ("value", "type_", "said"),
    [
        (Loose(number=math.nan), Loose, "at $.number: JSON has no nan"),
        (Loose(any="\ud800"), Loose, "at $.any: "),
        (Loose(id=NOON.date()), Loose, "date would be read as str - at `$.id`"),
        (Loose(any=[date(2020, 1, 2)]), Loose, "date would be read as str"),
        (Loose(keys={1: 2}), Loose, "the key 1 would be read as something else"),
        ({1: 2}, dict[Literal[1, "1"], int], "the key 1 would be read as"),
        (Second(x=1), First | Second, "Second would be read as First"),
        ([Second(x=1)], list[First | Second], "read as First - at `$[0]`"),
        (Loose(any=object()), Loose, "Unable to serialize unknown type"),
        (Lookalike(), Loose, "Lookalike is not a JSON type"),
        (Secret(password=SecretStr("x")), Secret, "is lost - at `$.password`"),
        (Written(value=1), Written, "Field required - at `$.value`"),
        (Failing(), Failing, "RuntimeError: no way"),
        (Names({"a": b"x" * MAX_VALUE_BYTES}), Names, "over the limit of 1,048,576"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_cannot_be_read_again_is_refused(
    value: Any, type_: Any, said: str
) -> None:
    """The library's rules hold for pydantic's types too; nothing changes in silence."""
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
        (
            b'{"invoiceNumber":"a","total":1,"lines":[{"sku":"AAA=","count":0}]}',
            Invoice,
            "Input should be greater than 0 - at `$.lines[0].count`",
        ),
        (b'{"total":1}', Invoice, "Field required - at `$.invoiceNumber`"),
        (b'{"total":"x"}', Invoice, "at `$.invoiceNumber`, and 1 more"),
        (b'{"sku":"%%"}', Line, "it is not base64 - at `$.sku`"),
        (b'{"sku":5}', Line, "Input should be a valid bytes - at `$.sku`"),
        (b'{"sku":"AA=="}', Line, "at least 2 bytes - at `$.sku`"),
        (b'{"sku":"AAA=","a\\nb":1}', Line, "at `$['a\\nb']`"),
        (b'{"sku":"AAA=","sku":"AAA="}', Line, "the key 'sku' is there twice"),
        (b'{"x":-1}', Point, "it is below zero - at `$.x`"),
        (b'{"x":13}', Point, "RuntimeError: no way"),
        (b"[1e999]", list[Decimal] | list[str], "JSON has no inf"),
    ],
)
def test_a_mismatch_names_the_field(text: bytes, type_: Any, said: str) -> None:
    """The error says what did not fit, and where, in the words of msgspec's."""
    with pytest.raises(dp.CodecError) as caught:
        value_type(type_).read(text)

    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
