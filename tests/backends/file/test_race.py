"""Real processes, threads and event loops that race over one file store."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, Final

import anyio
import pytest

import dp_core as dp
from dp_backends.file._store import FileStore
from support.file.races import killed, new_seed, race, turmoil
from support.file.random_load import IDS
from support.file.sweeps import TORTURE, show

MANY: Final = 10 if TORTURE else 1


@pytest.fixture
def root(tmp_path: Path) -> str:
    """A store that is there already."""
    store = FileStore(str(tmp_path / "store"))
    store.open()
    return store.root


@pytest.fixture
def seed() -> int:
    """Decides what happens by chance; shown where a test fails."""
    return new_seed()


def test_one_of_many_processes_wins(root: str) -> None:
    """All that settle at once are told the same outcome, which is the promise's."""
    race(root, processes=6, rounds=100 * MANY)


def test_killing_settlers_loses_and_changes_nothing(
    root: str, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Acknowledged outcomes stay, and the next settle works, 200 times."""
    won, died = killed(root, 200 * MANY, seed)

    show(f"{died} settlers killed, {won} of their settles stand; seed {seed}", capsys)
    assert died >= 100
    assert won >= 100


def test_disposers_settlers_and_readers_agree(root: str, seed: int) -> None:
    """
    A generation has one outcome for all, and never comes back.

    Nobody sees damage, a value nobody proposed, or his own disposal undone.
    """
    assert [] == list(turmoil(root, seed, processes=4, operations=600 * MANY))


def test_creators_settlers_and_deadlines_agree(root: str, seed: int) -> None:
    """
    A generation has one set of terms, and its deadline is a settler like others.

    Nobody is shown pending what is over, expired what is not, or other terms than
    stand; and a settle that begins after the deadline loses.
    """
    operations = 200 * MANY
    wrong = turmoil(root, seed, processes=3, operations=operations, terms=True)
    assert [] == list(wrong)


async def test_waiters_outlive_disposals(root: str, seed: int) -> None:
    """Whatever others do meanwhile, each is told a value, or of a disposal."""
    told: list[Any] = []
    done = anyio.Event()

    async def wait(promises: dp.Promises, id: str) -> None:
        while not done.is_set():
            try:
                told.append(await promises.promise(id).get())
            except dp.PromiseDisposedError as error:
                told.append(error)

    async with dp.connect(f"file:{root}") as promises:
        with anyio.fail_after(120):
            async with anyio.create_task_group() as tasks:
                for id in IDS * 4:
                    tasks.start_soon(wait, promises, id)
                wrong = await anyio.to_thread.run_sync(
                    lambda: list(turmoil(root, seed, processes=2, operations=200))
                )
                done.set()
                for id in IDS:
                    await promises.promise(id).resolve(0)

    assert [] == wrong
    assert len(told) >= 4 * len(IDS)
    assert any(isinstance(entry, dp.PromiseDisposedError) for entry in told)
    assert all(isinstance(e, int | dp.PromiseDisposedError) for e in told)


def test_threads_and_loops_of_one_process_agree(root: str) -> None:
    """Eight loops, of both kinds, settle and await the same on one handle."""
    promises = dp.connect(f"file:{root}")
    ids = [f"shared-{number}" for number in range(25)]
    told: dict[str, set[int]] = {id: set() for id in ids}

    async def work(number: int) -> None:
        async def one(id: str) -> None:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(get, id)
                won = await promises.promise(id, int).resolve(number)
                told[id].add(won.unwrap())

        async def get(id: str) -> None:
            told[id].add(await promises.promise(id, int).get())

        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                for id in ids:
                    tasks.start_soon(one, id)

    threads = [
        threading.Thread(
            target=anyio.run,
            args=(work, n),
            kwargs={"backend": ("asyncio", "trio")[n % 2]},
        )
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert all(1 == len(values) for values in told.values()), told
