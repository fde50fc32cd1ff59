"""Looks at a store, each by a handle of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import anyio

import dp_core as dp

__all__ = ["LOOKS", "fill", "look", "names"]

LOOKS: Final = ("peek", "resolve", "get", "list")


def look(url: str, what: str) -> Any:
    """Ask a new handle for something."""
    return anyio.run(_look, url, what)


async def _look(url: str, what: str) -> Any:
    async with dp.connect(url) as promises:
        match what:
            case "list":
                return [info.id async for info in promises.list()]
            case "peek kept":
                return await promises.promise("kept").peek()
            case "resolve":
                return await promises.promise("x").resolve(1)
            case "get":
                return await promises.promise("x").get(timeout=60)
            case _:
                return await getattr(promises.promise("x"), what)()


async def fill(url: str) -> None:
    """Put two promises into a store."""
    async with dp.connect(url) as promises:
        await promises.promise("kept").resolve("kept")
        await promises.create("x", tags={"a": "b"})
        await promises.promise("x").resolve("v" * 4000)


def names(directory: Path) -> set[str]:
    """Return the names in a directory."""
    return {path.name for path in directory.iterdir()}
