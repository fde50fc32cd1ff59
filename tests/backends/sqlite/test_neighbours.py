"""Calls that share a batch, and locks that others hold."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest

import dp_core as dp
from dp_backends.sql.sqlite import _session
from dp_backends.sql.sqlite._session import SqliteSession
from support.sqlite.child import one_batch
from support.sqlite.stores import write_lock

HOLDER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.readline()
connection.execute("ROLLBACK")
"""


async def test_who_only_reads_does_not_fail_with_who_writes(
    path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the calls of one batch those fail whose change could not be written."""
    async with dp.connect(url) as promises:
        await promises.promise("kept").resolve(1)
        monkeypatch.setattr(_session, "_BUSY", 0.0)
        told: list[object] = []

        async def settle() -> None:
            with pytest.raises(dp.BackendUnavailableError, match="locked"):
                await promises.promise("x").resolve(1)
            told.append("locked")

        async def look() -> None:
            told.append(await promises.promise("x").peek())

        async def list_all() -> None:
            told.append([info.id async for info in promises.list()])

        with write_lock(path):
            async with anyio.create_task_group() as tasks, one_batch(promises, 3):
                for act in (settle, look, list_all):
                    tasks.start_soon(act)
        assert sorted(map(str, ["locked", dp.Pending(), ["kept"]])) == sorted(
            map(str, told)
        )


async def test_an_error_nobody_expects_leaves_no_transaction(
    path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would hold up all other processes."""

    def fails(*_: object) -> None:
        raise ZeroDivisionError

    async with dp.connect(url) as promises:
        await promises.promise("kept").resolve(1)
        with monkeypatch.context() as broken:
            broken.setattr(SqliteSession, "write", fails)
            with pytest.raises(ZeroDivisionError):
                await promises.promise("x").resolve(1)
        with write_lock(path):
            assert dp.Pending() == await promises.promise("x").peek()


@contextmanager
def held_elsewhere(path: Path) -> Iterator[Callable[[], None]]:
    """Let another process hold the lock; yield what lets it release that."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert "held\n" == holder.stdout.readline()
        stdin = holder.stdin

        def release() -> None:
            stdin.write("go\n")
            stdin.flush()

        yield release


def test_a_lock_that_another_process_holds_is_waited_for(path: Path, url: str) -> None:
    """Until it is released; reads go on meanwhile."""

    async def main() -> None:
        async with dp.connect(url) as promises:
            await promises.promise("kept").resolve(1)
            async with dp.connect(url) as others:
                with held_elsewhere(path) as release, anyio.fail_after(60):
                    async with anyio.create_task_group() as tasks:
                        tasks.start_soon(promises.promise("x").resolve, 1)
                        assert dp.Pending() == await others.promise("x").peek()
                        release()
                assert dp.Resolved(1) == await others.promise("x").peek()

    anyio.run(main)


async def test_a_lock_that_is_held_for_too_long_is_said_so(
    path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What to look for is said, nothing is changed, and the handle goes on."""
    async with dp.connect(url) as promises:
        await promises.promise("kept").resolve(1)
        monkeypatch.setattr(_session, "_BUSY", 0.01)
        with write_lock(path):
            told = "another process has locked the database for too long.*stopped"
            with pytest.raises(dp.BackendUnavailableError, match=told):
                await promises.promise("x").resolve(1)
            assert dp.Resolved(1) == await promises.promise("kept").peek()
        assert dp.Pending() == await promises.promise("x").peek()
        assert dp.Resolved(2) == await promises.promise("x").resolve(2)


async def test_who_closes_does_not_wait_for_a_lock(path: Path, url: str) -> None:
    """The call that waits is told that its handle was closed, or that it is locked."""
    promises = dp.connect(url)
    await promises.promise("kept").resolve(1)

    async def settle() -> None:
        with pytest.raises(dp.BackendError):
            await promises.promise("x").resolve(1)

    with write_lock(path), anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(settle)
            await anyio.wait_all_tasks_blocked()
            await promises.aclose()
