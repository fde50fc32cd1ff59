"""Reads that come together share hops to a worker thread."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path
from typing import Any

import anyio
import pytest

import dp_core as dp
from dp_backends.file import _read_batcher
from dp_backends.file._layout import Place
from dp_backends.file._read_batcher import ReadBatcher
from dp_backends.file._reading import View
from dp_backends.file._store import FileStore

LIMIT = 30.0


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    """Make a store with promises n0 to n9 resolved."""
    store = FileStore(str(tmp_path / "s"))
    for number in range(10):
        store.settle(f"n{number}", dp.Resolved(b"%d" % number))
    return store


async def test_many_reads_take_few_hops(
    store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two hundred reads at once take one hop."""
    batcher, hops, real = ReadBatcher(store), Counter[str](), _read_batcher.in_thread

    async def count(*args: Any, **kwargs: Any) -> Any:
        hops["made"] += 1
        return await real(*args, **kwargs)

    monkeypatch.setattr(_read_batcher, "in_thread", count)
    seen: dict[int, Any] = {}

    async def read(number: int) -> None:
        view = await batcher.read(store.place(f"n{number % 10}"))
        seen[number] = view.state

    with anyio.fail_after(LIMIT):
        async with anyio.create_task_group() as tasks:
            for number in range(200):
                tasks.start_soon(read, number)

    assert {n: dp.Resolved(b"%d" % (n % 10)) for n in range(200)} == seen
    assert 1 == hops["made"]
    assert 0 == len(batcher)


@pytest.mark.parametrize("steps", range(12))
async def test_whoever_is_cancelled_the_others_get_their_views(
    store: FileStore, steps: int
) -> None:
    """Also when the one who makes the hop is cancelled before or during it."""
    batcher, answered = ReadBatcher(store), set[int]()
    scopes = [anyio.CancelScope() for _ in range(9)]

    async def read(number: int) -> None:
        with scopes[number]:
            await batcher.read(store.place(f"n{number}"))
            answered.add(number)

    with anyio.fail_after(LIMIT):
        async with anyio.create_task_group() as tasks:
            for number in range(9):
                tasks.start_soon(read, number)
            for _ in range(steps):
                await anyio.lowlevel.checkpoint()
            for number in (0, 1, 4):
                scopes[number].cancel()

    assert {2, 3, 5, 6, 7, 8} <= answered
    assert 0 == len(batcher)


async def test_one_look_answers_all_who_ask_for_one_promise(
    store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those who came before a look share it; who came after it gets a new one."""
    batcher, asked, real = ReadBatcher(store), list[str](), store.look_at

    def look_at(place: Place, **named: Any) -> Any:
        asked.append(place.id)
        return real(place, **named)

    monkeypatch.setattr(store, "look_at", look_at)
    for round in (1, 2):
        async with anyio.create_task_group() as tasks:
            for number in range(60):
                tasks.start_soon(batcher.read, store.place(f"n{number % 3}"))
        assert sorted(["n0", "n1", "n2"] * round) == sorted(asked)


async def test_a_store_that_hangs_holds_up_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the disk of one store says nothing, others are peeked at."""
    hung, sound = (dp.connect(f"file:{tmp_path}/{name}") for name in ("hung", "sound"))
    began, go_on = threading.Event(), threading.Event()
    real = FileStore.look_at

    def look_at(self: FileStore, place: Place, **named: Any) -> View:
        if Path(self.root).name == "hung":
            began.set()
            go_on.wait(LIMIT)
        return real(self, place, **named)

    monkeypatch.setattr(FileStore, "look_at", look_at)
    with anyio.fail_after(LIMIT):
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(hung.promise("x").peek)
            await anyio.to_thread.run_sync(began.wait)
            assert dp.Pending() == await sound.promise("x").peek()
            go_on.set()


async def test_an_error_reaches_only_those_who_asked_for_that_promise(
    store: FileStore,
) -> None:
    """A damaged record shares its hop with sound ones, and nothing else."""
    batcher, sound = ReadBatcher(store), list[Any]()
    damage(store.place("n3").outcome("first"))

    async def read(number: int) -> None:
        place = store.place(f"n{number}")
        if number == 3:
            with pytest.raises(dp.CorruptPromiseError):
                await batcher.read(place)
        else:
            sound.append((await batcher.read(place)).state)

    async with anyio.create_task_group() as tasks:
        for number in range(10):
            tasks.start_soon(read, number)

    assert 9 == len(sound)


def damage(path: str) -> None:
    """Overwrite a record with what is not one."""
    Path(path).write_text("damage")
