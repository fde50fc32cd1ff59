"""A server whose disk is really full. Needs root, because it mounts memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from secrets import token_hex

import anyio
import psycopg
import pytest
from psycopg.sql import SQL, Identifier, Literal

import dp_core as dp
from dp_core.testing.crash import Disk
from support.core.disks.full_disks import (
    a_little_room_is_the_way_out,
    nothing_is_lost_in_a_full_disk,
)
from support.core.disks.small_disks import fill_up, small_memory
from support.file.sweeps import missing
from support.postgresql.server import USER, PostgresServer, need_programs


@pytest.fixture
def small(postgresql: PostgresServer, tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """Return a small disk, and the name of a database that is on it."""
    missing(Disk.missing())
    root, name = postgresql.directory / tmp_path.name, f"on_{tmp_path.name}"
    # The server is somebody else, as it refuses to run as root.
    with small_memory(root, "size=32m", owner=postgresql.directory):
        tables, owner = root / "tables", root.stat()
        tables.mkdir()
        os.chown(tables, owner.st_uid, owner.st_gid)
        place, database = Identifier(f"{name}_place"), Identifier(name)
        postgresql.execute(
            SQL("CREATE TABLESPACE {} LOCATION {}").format(place, Literal(str(tables)))
        )
        postgresql.execute(
            SQL("CREATE DATABASE {} OWNER {} TABLESPACE {}").format(
                database, Identifier(USER), place
            )
        )
        try:
            yield root, name
        finally:
            drop = SQL("DROP DATABASE {} WITH (FORCE)").format(database)
            postgresql.execute(drop)
            postgresql.execute(SQL("DROP TABLESPACE {}").format(place))


def test_a_full_disk_in_the_middle_of_a_batch(
    postgresql: PostgresServer, small: tuple[Path, str]
) -> None:
    """Nothing of it is told, and nothing is lost."""
    root, database = small
    # What could be compressed would fit.
    nothing_is_lost_in_a_full_disk(
        postgresql.url(database=database),
        lambda: fill_up(root, 20_000),
        lambda: token_hex(20_000),
    )


def test_a_little_room_is_the_way_out_of_a_full_disk(
    postgresql: PostgresServer, small: tuple[Path, str]
) -> None:
    """A MiB: then disposals, and a vacuum, make room for what is settled next."""
    root, database = small
    admin = postgresql.url(user="postgres", database=database)

    def vacuum() -> None:
        with psycopg.connect(admin, autocommit=True) as connection:
            connection.execute("VACUUM")

    a_little_room_is_the_way_out(
        postgresql.url(database=database),
        lambda: fill_up(root),
        1 << 20,
        token_hex(75_000),
        vacuum,
    )


def test_a_server_whose_log_has_no_room_ends_and_begins_again(tmp_path: Path) -> None:
    """
    It stops itself: who settles is told that it is away, or that it is not known.

    With room it is started by whoever runs it. Then what was acknowledged is there, the
    rest is pending or as it was asked for, and the same handle and its wait go on.
    """
    missing(Disk.missing())
    need_programs()
    # It keeps its log, as it does where a replica is behind.
    server = PostgresServer(wal_keep_size="1GB")
    log = server.directory / "wal"
    with closing(server), small_memory(log, "size=12m", owner=server.directory):
        server.create(log=log)
        anyio.run(_settle_until_the_server_ends, server, log)


async def _settle_until_the_server_ends(server: PostgresServer, log: Path) -> None:
    values = [token_hex(50_000) for _ in range(400)]
    acknowledged = 0
    async with dp.connect(server.url(schema="s", retry="1")) as promises:
        ids = [promises.promise(f"x{number}") for number in range(len(values))]
        await ids[0].resolve(values[0])

        async def wait() -> None:
            with anyio.fail_after(60):
                assert "told" == await promises.promise("waited for").get()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            filler = fill_up(log)
            told = None
            while told is None:
                try:
                    await ids[acknowledged].resolve(values[acknowledged])
                    acknowledged += 1
                except (dp.OutcomeUnknownError, dp.BackendUnavailableError) as error:
                    told = error
            with pytest.raises(dp.BackendUnavailableError, match="cannot connect"):
                await ids[0].peek()
            assert 1 == server.wait(), "it has ended by itself"
            assert "No space left on device" in server.log.read_text()
            with pytest.raises(AssertionError, match="No space left on device"):
                server.start()

            filler.unlink()
            server.start()
            await promises.promise("waited for").resolve("told")
        states = [await promise.peek() for promise in ids]
        kept = [dp.Resolved(value) for value in values]
        assert kept[:acknowledged] == states[:acknowledged]
        assert states[acknowledged] in (dp.Pending(), kept[acknowledged])
        assert {dp.Pending()} == {*states[acknowledged + 1 :]}
        assert kept[-1] == await ids[-1].resolve(values[-1])
