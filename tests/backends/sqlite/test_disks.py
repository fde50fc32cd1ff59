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
from support.core.disks.full_disks import (
    a_little_room_is_the_way_out,
    nothing_is_lost_in_a_full_disk,
)
from support.core.disks.small_disks import fill_up, small_memory
from support.file.sweeps import missing
from support.sqlite.child import one_batch
from support.sqlite.stores import rows


@pytest.fixture(params=["memory", "ext4"])
def small(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A small disk."""
    missing(Disk.missing())
    if request.param == "ext4":
        with Disk(tmp_path, size=160 * 1024 * 1024) as disk:
            yield disk.root
        return
    with small_memory(tmp_path / "small", "size=8m") as root:
        yield root


def test_a_full_disk_in_the_middle_of_a_batch(small: Path) -> None:
    """Nothing of it is told, and nothing is lost."""
    nothing_is_lost_in_a_full_disk(
        f"sqlite:{small}/p.db",
        lambda: fill_up(small, 200_000),
        lambda: "x" * 20_000,
        one_batch,
    )
    assert [("ok",)] == rows(small / "p.db", "PRAGMA integrity_check")


def test_a_little_room_is_the_way_out_of_a_full_disk(small: Path) -> None:
    """As much as the log is long: then disposals make room for what is next."""
    a_little_room_is_the_way_out(
        f"sqlite:{small}/p.db",
        lambda: fill_up(small),
        4 << 20,
        "x" * 150_000,
    )
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
