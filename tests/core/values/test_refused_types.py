"""Types that no value can be kept as: refused when the handle is made."""

from __future__ import annotations

import sys
from dataclasses import InitVar, dataclass
from dataclasses import field as field_of
from datetime import datetime
from ipaddress import IPv4Address
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar

import msgspec
import pytest
from pydantic import BaseModel, ConfigDict

import dp_core as dp
from dp_core.values import value_type

T = TypeVar("T")


@dataclass
class Invoice:
    total: float


class Box(msgspec.Struct, Generic[T]):
    item: T


class Line(BaseModel):
    sku: str


class Stranger:
    """A class that nobody can read."""


@dataclass
class Holder:
    parts: dict[str, list[Stranger]]


def local() -> type:
    """Return a class that names one which cannot be found."""

    @dataclass
    class Inner:
        below: Nowhere | None  # type: ignore[name-defined] # noqa: F821 - the fact

    return Inner


@pytest.mark.parametrize(
    ("type_", "said"),
    [
        ("Invoice", "'Invoice' is not a valid type of values: it is text; write"),
        (Invoice(1), "it is not a type; write a class"),
        (5, "5 is not a valid type of values: it is not a type"),
        (len, "it is not a type"),
        (T, "it is a type variable"),
        (Stranger, "it does not know Stranger"),
        (list[Stranger], "list[Stranger] is not a valid type of values"),
        (Holder, "it does not know Stranger"),
        (Box[Stranger], "it does not know Stranger"),
        (msgspec.Raw, "it has no JSON for RawType"),
        (list["Nowhere"], "'Nowhere'"),  # type: ignore[name-defined] # noqa: F821 - the fact
        (local(), "names in a type are looked up in its module"),
    ],
)
async def test_what_cannot_be_kept_says_so_at_once(type_: Any, said: str) -> None:
    """A handle on values that nobody could keep is never made; the error says why."""
    promises = dp.connect("memory:")
    makes = (
        lambda: promises.promise("x", type_),
        lambda: dp.durable_promise("x", "memory:", type_),
    )

    for make in makes:
        with pytest.raises(dp.InvalidTypeError) as caught:
            make()
        shown = str(caught.value).replace(f"{__name__}.", "")
        assert said in shown
        assert isinstance(caught.value, TypeError)
    with pytest.raises(dp.InvalidTypeError):
        await promises.create("refused type", type_, tags={"a": "b"})
    assert (await promises.promise("refused type").info()).terms is None


class Careless(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)

    part: Stranger


@dataclass
class Halved:
    whole: InitVar[int]
    half: int = field_of(init=False, default=0)


class Struct(msgspec.Struct):
    line: Line


class Lost(NamedTuple):
    below: Nowhere  # type: ignore[name-defined] # noqa: F821 - the fact


@pytest.mark.parametrize(
    ("type_", "said"),
    [
        (Careless, "no JSON can be read as Stranger"),
        (Halved, "its InitVar whole is not kept"),
        (Struct, "Struct is msgspec's"),
        (Annotated[Line, msgspec.Meta(title="x")], "Meta of an Annotated is msgspec's"),
        (bytes | str, "in a union, bytes cannot be told from str"),
        (Line(sku="a"), "it is not a type"),
        (Lost, "is not fully defined); use"),
        (list["Nowhere"], "is not fully defined"),  # type: ignore[name-defined] # noqa: F821 - the fact
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_pydantic_cannot_read_says_so_at_once(type_: Any, said: str) -> None:
    """A handle on values that pydantic could write but not read is never made."""
    with pytest.raises(dp.InvalidTypeError) as caught:
        dp.connect("memory:").promise("x", type_)

    assert said in str(caught.value)


def test_without_pydantic_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It names the extra; what msgspec reads does not depend on it."""
    monkeypatch.setitem(sys.modules, "pydantic", None)
    monkeypatch.delitem(sys.modules, "dp_core.values._typed._pydantic", raising=False)

    @dataclass
    class Fresh:
        address: IPv4Address

    @dataclass
    class Plain:
        when: datetime

    with pytest.raises(dp.InvalidTypeError) as caught:
        value_type(Fresh)
    assert "pip install 'durable-promises[pydantic]'" in str(caught.value)
    for type_ in (Plain, Literal["a"], Annotated[int, {}]):
        assert "MsgspecType" == type(value_type(type_)).__name__
