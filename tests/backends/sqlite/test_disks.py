"""
The SQLite store on disks that are really full, or read-only.

Needs root, because it mounts: memory with few bytes, ext4 on a loop device.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

import dp_core as dp
from dp_core.testing.crash import Disk
from support.file.sweeps import missing
from support.sqlite.child import one_batch
from support.sqlite.small_disks import fill_up, small_memory
from support.sqlite.stores import rows

LARGE = "x" * 20_000


@pytest.fixture(params=["memory", "ext4"])
def small(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A small disk."""
    missing(Disk.missing())
    if request.param == "ext4":
        with Disk(tmp_path, size=160 * 1024 * 1024) as disk:
            yield disk.root
        return
    root = tmp_path / "small"
    with small_memory(root, "8m"):
        yield root


def test_a_full_disk_in_the_middle_of_a_batch(small: Path) -> None:
    """
    Nothing of it is acknowledged, everybody is told, and all works when there is room.

    What was acknowledged before stays, and a wait goes on.
    """
    ids = [f"x{number}" for number in range(64)]
    told: list[str] = []

    async def settle(promises: dp.Promises, id: str) -> None:
        with pytest.raises(dp.BackendUnavailableError, match="the disk is full"):
            await promises.promise(id).resolve(LARGE)
        told.append(id)

    async def main() -> None:
        async with dp.connect(f"sqlite:{small}/p.db") as promises:
            await promises.promise("kept").resolve("kept")
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait, promises)
                await anyio.wait_all_tasks_blocked()
                filler = fill_up(small, 200_000)
                async with (
                    anyio.create_task_group() as settlers,
                    one_batch(promises, len(ids)),
                ):
                    for id in ids:
                        settlers.start_soon(settle, promises, id)
                assert sorted(ids) == sorted(told)
                assert dp.Resolved("kept") == await promises.promise("kept").peek()
                filler.unlink()
                for id in ids:
                    assert dp.Pending() == await promises.promise(id).peek()
                await promises.promise("waited for").resolve("told")

    async def wait(promises: dp.Promises) -> None:
        with anyio.fail_after(60):
            assert "told" == await promises.promise("waited for").get()

    anyio.run(main)
    assert [("ok",)] == rows(small / "p.db", "PRAGMA integrity_check")


def test_a_disk_that_is_read_only(small: Path) -> None:
    """It is said so: SQLite has to write beside a database even to read it."""
    url = f"sqlite:{small}/p.db"

    async def settle() -> None:
        async with dp.connect(url) as promises:
            await promises.promise("kept").resolve("kept")

    anyio.run(settle)
    remount(small, "ro")
    with pytest.raises(dp.BackendUnavailableError, match="file system is read-only"):
        anyio.run(settle)
    remount(small, "rw")
    anyio.run(settle)


def remount(root: Path, option: str) -> None:
    """Mount a disk again, with an option."""
    subprocess.run(["mount", "-o", f"remount,{option}", str(root)], check=True)
