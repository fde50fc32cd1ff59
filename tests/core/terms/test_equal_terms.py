"""`Promises.create` with ``exist_ok=False``: which terms are taken for ours."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest

import dp_core as dp
from dp_backends.memory import MemoryBackend

STORES = count()
LONG = timedelta(days=3)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
async def promises() -> AsyncIterator[dp.Promises]:
    """Return a handle on an empty store."""
    async with dp.connect(f"memory:equal-terms-{next(STORES)}") as promises:
        yield promises


@pytest.mark.parametrize("deadline", [LONG, LONG_AGO + timedelta(days=36500), None])
async def test_equal_terms_are_ours(
    deadline: timedelta | datetime | None, promises: dp.Promises
) -> None:
    """A program that died may create again, and is told of others' terms only."""
    terms: dict[str, Any] = {"deadline": deadline, "tags": {"k": "v"}, "data": [1]}
    await promises.create("a", **terms)
    await promises.create("a", **terms, exist_ok=False)

    for other in ({"tags": {"k": "w"}}, {"data": [2]}, {"deadline": 2 * LONG}):
        with pytest.raises(dp.PromiseExistsError, match="'a'"):
            await promises.create("a", **terms | other, exist_ok=False)


ONE: dict[str, Any] = {"a": 1, "b": [{"c": 2**64, "d": None}]}
ORDERED: dict[str, Any] = {"b": [{"d": None, "c": 2**64}], "a": 1.0}
OTHERS: list[Any] = [
    {"a": True, "b": [{"c": 2**64, "d": None}]},
    {"a": 1, "b": [{"c": 2**64 + 1, "d": None}]},
    {"a": 1, "b": [{"c": 2**64, "d": False}]},
    {"a": 1, "b": [{"c": 2**64, "d": None}] * 2},
    {"a": "1", "b": [{"c": 2**64, "d": None}]},
    {"a": 1},
    [1],
    None,
]


async def test_equal_values_are_ours_however_they_were_built(
    promises: dp.Promises,
) -> None:
    """Whether terms are ours is asked of what their JSON says, not of its text."""
    for id, terms in {"by data": "data", "by outcome": "otherwise"}.items():

        def asked(value: Any, terms: str = terms) -> dict[str, Any]:
            given = value if terms == "data" else dp.Resolved(value)
            return {"deadline": LONG, terms: given, "exist_ok": False}

        await promises.create(id, **asked(ONE))
        await promises.create(id, **asked(ORDERED))
        for other in OTHERS:
            with pytest.raises(dp.PromiseExistsError):
                await promises.create(id, **asked(other))


async def test_long_values_are_compared_by_what_they_say(
    promises: dp.Promises,
) -> None:
    """However long, and in whatever order, they are ours, or others'."""
    data = {f"key {number}": number for number in range(20_000)}
    await promises.create("long", data=data)
    await promises.create("long", data=dict(reversed(data.items())), exist_ok=False)
    with pytest.raises(dp.PromiseExistsError):
        await promises.create("long", data=data | {"key 7": 8}, exist_ok=False)


async def test_terms_of_an_unknown_time_are_not_ours() -> None:
    """Where a store cannot say when they were made, none from now can be equal."""

    class Timeless(MemoryBackend):
        async def info(self, id: str) -> dp.PromiseInfo[bytes]:
            return replace(await super().info(id), created_at=None)

    promises = dp.Promises(Timeless("memory:timeless"), "memory:timeless")
    await promises.create("a", deadline=LONG)
    with pytest.raises(dp.PromiseExistsError):
        await promises.create("a", deadline=2 * LONG, exist_ok=False)


async def test_a_message_is_not_a_value(promises: dp.Promises) -> None:
    """To be rejected with a text is something else than to be resolved with it."""
    await promises.create("a", deadline=LONG, otherwise=dp.Rejected("1"))
    for other in (dp.Resolved(1), dp.Resolved("1"), dp.Rejected("2"), None):
        with pytest.raises(dp.PromiseExistsError):
            await promises.create("a", deadline=LONG, otherwise=other, exist_ok=False)
