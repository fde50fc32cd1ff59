"""A server whose disk is really full. Needs root, because it mounts memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex

import anyio
import pytest
from psycopg.sql import SQL, Identifier, Literal

import dp_core as dp
from dp_core.testing.crash import Disk
from support.file.sweeps import missing
from support.postgresql.server import USER, PostgresServer
from support.sqlite.small_disks import fill_up, small_memory


@pytest.fixture
def small(postgresql: PostgresServer, tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """Return a small disk, and the URL of a store in a database that is on it."""
    missing(Disk.missing())
    root, name = postgresql.directory / tmp_path.name, f"on_{tmp_path.name}"
    with small_memory(root, "32m"):
        # The server is somebody else, as it refuses to run as root.
        owner = postgresql.directory.stat()
        (root / "tables").mkdir()
        for directory in (root, root / "tables"):
            os.chown(directory, owner.st_uid, owner.st_gid)
        place, database = Identifier(f"{name}_place"), Identifier(name)
        location = Literal(str(root / "tables"))
        postgresql.execute(
            SQL("CREATE TABLESPACE {} LOCATION {}").format(place, location)
        )
        postgresql.execute(
            SQL("CREATE DATABASE {} OWNER {} TABLESPACE {}").format(
                database, Identifier(USER), place
            )
        )
        try:
            yield root, postgresql.url(database=name)
        finally:
            drop = SQL("DROP DATABASE {} WITH (FORCE)").format(database)
            postgresql.execute(drop)
            postgresql.execute(SQL("DROP TABLESPACE {}").format(place))


def test_a_full_disk_in_the_middle_of_a_batch(small: tuple[Path, str]) -> None:
    """
    Nothing of it is acknowledged, everybody is told, and all works when there is room.

    What was acknowledged before stays, and a wait goes on.
    """
    root, url = small
    ids = [f"x{number}" for number in range(64)]
    told: list[str] = []

    async def settle(promises: dp.Promises, id: str) -> None:
        with pytest.raises(dp.BackendUnavailableError, match="disk is full"):
            # What could be compressed would fit.
            await promises.promise(id).resolve(token_hex(20_000))
        told.append(id)

    async def main() -> None:
        async with dp.connect(url) as promises:
            await promises.promise("kept").resolve("kept")
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait, promises)
                await anyio.wait_all_tasks_blocked()
                filler = fill_up(root, 20_000)
                async with anyio.create_task_group() as settlers:
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
