"""What type checkers infer of the type that a promise is given; never run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import (
    Annotated,
    Any,
    Generic,
    Literal,
    NamedTuple,
    NewType,
    TypeAlias,
    TypedDict,
    TypeVar,
    assert_type,
)

import dp_core as dp

T = TypeVar("T")


@dataclass
class Invoice:
    """A value."""

    total: float


@dataclass
class Page(Generic[T]):
    """A value with a type of its own."""

    items: list[T]


class Money(TypedDict):
    """A value as a dictionary."""

    amount: int


class Point(NamedTuple):
    """A value as a tuple."""

    x: int


Cents = NewType("Cents", int)
Ledger: TypeAlias = dict[str, Invoice]
Answer = Literal["yes", "no"]


def forms(promises: dp.Promises) -> None:
    """Whatever a type is made of, it is what comes back."""
    promise = promises.promise
    assert_type(promise("x", list[Invoice]), dp.DurablePromise[list[Invoice]])
    assert_type(promise("x", Invoice | None), dp.DurablePromise[Invoice | None])
    assert_type(promise("x", int | str), dp.DurablePromise[int | str])
    assert_type(promise("x", Answer), dp.DurablePromise[Literal["yes", "no"]])
    assert_type(promise("x", Annotated[int, "cents"]), dp.DurablePromise[int])
    assert_type(promise("x", Page[Invoice]), dp.DurablePromise[Page[Invoice]])
    assert_type(promise("x", tuple[int, str]), dp.DurablePromise[tuple[int, str]])
    assert_type(promise("x", Money), dp.DurablePromise[Money])
    assert_type(promise("x", Point), dp.DurablePromise[Point])
    assert_type(promise("x", Cents), dp.DurablePromise[Cents])
    assert_type(promise("x", Ledger), dp.DurablePromise[dict[str, Invoice]])
    assert_type(promise("x", None), dp.DurablePromise[None])
    promise("x", Invoice(1))  # type: ignore[call-overload] # the type checker must refuse it
    promise("x", 5)  # type: ignore[call-overload] # the type checker must refuse it


def passed_on(promises: dp.Promises, type: type[T], any_: Any) -> dp.DurablePromise[T]:
    """A type that comes as an argument is passed on."""
    assert_type(promises.promise("x", any_), dp.DurablePromise[Any])
    return promises.promise("x", type)


async def created(promises: dp.Promises) -> None:
    """It is the same with terms; what stands otherwise is of the type, too."""
    maybe = await promises.create("x", Invoice | None, tags={"a": "b"})
    assert_type(maybe, dp.DurablePromise[Invoice | None])
    assert_type(await maybe, Invoice | None)
    assert_type((await maybe.info()).state, dp.State[Invoice | None])
    pages = await promises.create(None, list[Invoice])
    assert_type(pages.terms, "dp.Terms[list[Invoice]] | None")
    await promises.create("x", Answer, otherwise=dp.Resolved("no"))
    await pages.resolve(Invoice(1))  # type: ignore[arg-type] # the type checker must refuse it


def short() -> None:
    """It is the same by the short way."""
    x = dp.durable_promise("x", "memory:", Invoice | None)
    assert_type(x, dp.DurablePromise[Invoice | None])
    assert_type(dp.durable_promise("x", type=Answer), dp.DurablePromise[Answer])
    assert_type(dp.durable_promise("x", None, list[int]), dp.DurablePromise[list[int]])
