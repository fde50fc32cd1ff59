"""Looks that come together share hops to a worker thread."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import anyio
import pytest

import dp_core as dp
from dp_backends.file import _looks
from dp_backends.file._looks import Looks
from dp_backends.file._store import FileStore

LIMIT = 30.0


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    """Make a store with promises n0 to n9 resolved."""
    store = FileStore(str(tmp_path / "s"))
    for number in range(10):
        store.settle(f"n{number}", dp.Resolved(b"%d" % number))
    return store


async def test_many_looks_take_few_hops(
    store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two hundred questions at once are answered by a handful of hops."""
    looks, hops, real = Looks(), Counter[str](), anyio.to_thread.run_sync

    async def count(*args: Any, **kwargs: Any) -> Any:
        hops["made"] += 1
        return await real(*args, **kwargs)

    monkeypatch.setattr(_looks.to_thread, "run_sync", count)
    seen: dict[int, Any] = {}

    async def look(number: int) -> None:
        seen[number] = (await looks.look(store, f"n{number % 10}")).state

    with anyio.fail_after(LIMIT):
        async with anyio.create_task_group() as tasks:
            for number in range(200):
                tasks.start_soon(look, number)

    assert {n: dp.Resolved(b"%d" % (n % 10)) for n in range(200)} == seen
    assert hops["made"] <= 10
    assert {} == looks._waiting


@pytest.mark.parametrize("steps", range(12))
async def test_whoever_is_cancelled_the_others_get_their_answers(
    store: FileStore, steps: int
) -> None:
    """Also when the one who makes the hop is cancelled before or during it."""
    looks, answered = Looks(), set[int]()
    scopes = [anyio.CancelScope() for _ in range(9)]

    async def look(number: int) -> None:
        with scopes[number]:
            await looks.look(store, f"n{number}")
            answered.add(number)

    with anyio.fail_after(LIMIT):
        async with anyio.create_task_group() as tasks:
            for number in range(9):
                tasks.start_soon(look, number)
            for _ in range(steps):
                await anyio.lowlevel.checkpoint()
            for number in (0, 1, 4):
                scopes[number].cancel()

    assert {2, 3, 5, 6, 7, 8} <= answered
    assert {} == looks._waiting
    assert 0 == looks._hops


async def test_an_error_reaches_only_those_who_asked_for_that_promise(
    store: FileStore,
) -> None:
    """A damaged record shares its hop with sound ones, and nothing else."""
    looks, sound = Looks(), list[Any]()
    damage(store.place("n3").outcome("first"))

    async def look(number: int) -> None:
        if number == 3:
            with pytest.raises(dp.CorruptPromiseError):
                await looks.look(store, "n3")
        else:
            sound.append((await looks.look(store, f"n{number}")).state)

    async with anyio.create_task_group() as tasks:
        for number in range(10):
            tasks.start_soon(look, number)

    assert 9 == len(sound)


def damage(path: str) -> None:
    """Let a record say nothing."""
    Path(path).write_text("damage")
