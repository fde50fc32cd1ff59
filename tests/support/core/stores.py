"""What stores hold, made and asked in one line, for tests without an event loop."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import anyio

import dp_core as dp

__all__ = ["MANY", "create", "infos", "settle", "settle_bytes", "states"]

MANY: Final = {f"id ä{n}": n for n in range(100)}
"""Values of promises, by their ids."""


def settle(url: str, outcomes: Mapping[str, object]) -> None:
    """Settle promises: with a value, or an Exception's text."""

    async def settle_all() -> None:
        async with dp.connect(url) as promises:
            for id, outcome in outcomes.items():
                if isinstance(outcome, Exception):
                    await promises.promise(id).reject(str(outcome))
                else:
                    await promises.promise(id).resolve(outcome)

    anyio.run(settle_all)


def settle_bytes(url: str, id: str, outcome: dp.Outcome[bytes]) -> None:
    """Settle a promise with a value in its bytes."""

    async def settle_it() -> None:
        async with dp.connect(url) as promises:
            await promises.backend.settle(id, outcome)

    anyio.run(settle_it)


def states(url: str, ids: Iterable[str]) -> list[object]:
    """Return the states of promises."""

    async def peek_all() -> list[object]:
        async with dp.connect(url) as promises:
            return [await promises.promise(id).peek() for id in ids]

    return anyio.run(peek_all)


def infos(url: str) -> list[dp.PromiseInfo[object]]:
    """Return all that a store holds, in its order."""

    async def list_all() -> list[dp.PromiseInfo[object]]:
        async with dp.connect(url) as promises:
            return [info async for info in promises.list()]

    return anyio.run(list_all)


def create(url: str, id: str, **terms: object) -> None:
    """Create a promise."""

    async def create_it() -> None:
        async with dp.connect(url) as promises:
            await promises.create(id, **terms)  # type: ignore[arg-type]

    anyio.run(create_it)
