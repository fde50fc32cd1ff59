"""Waits on an SQLite store whose writers die, whose files go, whose kernel is mute."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from threading import Event

import anyio
import apsw
import pytest

import dp_core as dp
from dp_backends.sql.sqlite import _bell, _store
from dp_backends.sql.sqlite._bell import Bell
from dp_backends.sql.sqlite._log import Log
from dp_backends.sql.sqlite._session import SqliteSession
from dp_backends.sql.sqlite._store import SqliteStore
from dp_core.testing.crash import Step, VictimRunner
from support.file.sweeps import need_tools
from support.sqlite.stores import opened, rows
from support.sqlite.sweeps import CHILD, environment

LIMIT = 60.0
"""Seconds after which a waiter that should have been told was not."""


async def told_after(url: str, act: Callable[[], object]) -> object:
    """Wait for a promise, let something happen meanwhile; return what the wait gets."""
    told: list[object] = []
    async with dp.connect(url) as promises:
        await promises.promise("kept").resolve(1)

        async def wait() -> None:
            told.append(await promises.promise("x").get())

        with anyio.fail_after(LIMIT):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait)
                await anyio.wait_all_tasks_blocked()
                await anyio.to_thread.run_sync(act)
    (only,) = told
    return only


def test_a_writer_that_dies_before_it_rings_has_told(url: str) -> None:
    """The waiter finds out by itself, soon."""
    need_tools()

    def settle_and_die() -> None:
        with VictimRunner(CHILD, environment(), 20) as runner:
            points, _ = runner.points(url, [Step("resolve", "y", "1")], ("pwrite64",))
            (ring,) = [p for p in points if '"."' in p.shown]
            ended = runner.run_until(url, [Step("resolve", "x", "told")], ring)
            assert ended.killed
            assert () == ended.answers

    assert "told" == anyio.run(told_after, url, settle_and_die)


def settle_elsewhere(url: str) -> None:
    """Settle the promise by another handle."""

    async def settle() -> None:
        async with dp.connect(url) as promises:
            await promises.promise("x").resolve("told")

    anyio.run(settle)


def test_a_kernel_that_reports_nothing_is_done_without(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is a limit of instances: then waiters look again and again."""
    monkeypatch.setattr(_bell, "open_inotify", lambda: None)
    assert "told" == anyio.run(told_after, url, lambda: settle_elsewhere(url))


def test_a_store_like_the_one_that_was_removed_is_noticed(path: Path, url: str) -> None:
    """Its file gets the inode number of the other, and as many changes are in it."""
    store = SqliteStore(str(path))
    session = SqliteSession(str(path), Log(str(path)), Bell(str(path)), Event())
    settle_elsewhere(url)
    since, _ = store.changes(None, ())(session)
    path.unlink()
    # A look of a call, which tells the waits nothing.
    assert not session.is_made()
    settle_elsewhere(url)
    _, changed = store.changes(since, [b"x"])(session)
    session.close()
    assert [b"x"] == changed


@pytest.mark.parametrize("gone", ["-bell", ""])
def test_files_that_go_lose_no_wake_up(path: Path, url: str, gone: str) -> None:
    """Whoever removes them: the next settle is heard of."""

    def act() -> None:
        path.with_name(path.name + gone).unlink()
        settle_elsewhere(url)

    assert "told" == anyio.run(told_after, url, act)
    assert [("ok",)] == rows(path, "PRAGMA integrity_check")
    assert [(b"x",)] == rows(path, "SELECT id FROM promises WHERE id = x'78'")


def test_a_backup_that_is_put_back_is_noticed(path: Path, url: str) -> None:
    """Numbers of changes mean something else in it: all is looked at again."""
    backup = path.with_name("backup.db")

    def act() -> None:
        # More changes than there are in the waiter's database.
        settle_elsewhere(f"sqlite:{backup}")
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink()
        backup.replace(path)

    assert "told" == anyio.run(told_after, url, act)


def test_a_database_that_is_restored_in_place_is_noticed(path: Path, url: str) -> None:
    """As the .restore of sqlite3 does it: the same file, older rows, and no bell."""
    backup = path.with_name("backup.db")

    async def settle_and_dispose() -> None:
        async with dp.connect(url) as promises:
            await promises.promise("x").resolve("told")
            copy(path, backup)
            await promises.promise("x").dispose()

    anyio.run(settle_and_dispose)
    assert "told" == anyio.run(told_after, url, lambda: copy(backup, path))


def copy(source: Path, to: Path) -> None:
    """Copy a database as SQLite does it."""
    with (
        opened(source) as old,
        opened(to) as new,
        new.backup("main", old, "main") as copying,
    ):
        copying.step()


def test_the_number_of_a_change_never_comes_again(path: Path, url: str) -> None:
    """Also where the last promises are disposed of, and the database is compacted."""

    async def main() -> None:
        async with dp.connect(url) as promises:
            numbers: list[int] = []
            for id in "abc":
                await promises.promise(id).resolve(1)
                await promises.promise(id).dispose()
                connection = apsw.Connection(str(path))
                connection.execute("VACUUM")
                ((highest,),) = connection.execute("SELECT max(change) FROM promises")
                connection.close()
                numbers.append(highest)
            assert sorted(set(numbers)) == numbers

    anyio.run(main)


def test_a_bell_that_cannot_be_rung_harms_no_settle(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk may be full, for one: those who wait look later."""
    real, refused = os.pwrite, []

    def pwrite(fd: int, data: bytes, offset: int) -> int:
        if data == b".":
            refused.append(data)
            raise OSError(28, "No space left on device")
        return real(fd, data, offset)

    monkeypatch.setattr(os, "pwrite", pwrite)
    assert "told" == anyio.run(told_after, url, lambda: settle_elsewhere(url))
    assert refused


def test_many_changes_are_looked_at_in_parts(
    path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many there were since the last look, none is passed over."""
    monkeypatch.setattr(_store, "_LIMIT", 3)
    store = SqliteStore(str(path))
    session = SqliteSession(str(path), Log(str(path)), Bell(str(path)), Event())
    settle_elsewhere(url)
    since, _ = store.changes(None, ())(session)
    ids = [f"x{number}" for number in range(9)]

    async def settle() -> None:
        async with dp.connect(url) as promises:
            for id in ids:
                await promises.promise(id).resolve(1)

    anyio.run(settle)
    since, changed = store.changes(since, [id.encode() for id in ids[1:]])(session)
    assert [id.encode() for id in ids[1:]] == changed
    assert [] == store.changes(since, [b"x1"])(session)[1]
    session.close()
