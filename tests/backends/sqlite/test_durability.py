"""What the SQLite store has to know before it tells anybody anything."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any, Final

import anyio
import pytest

import dp_core as dp
from dp_backends.sql.sqlite import _log, _session
from dp_backends.sql.sqlite._session import SqliteSession
from support.sqlite.stores import opened, rows, session_of, settle_carelessly

REAL_FSYNC = _log.fsync


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that the store itself has synced."""
    names: list[str] = []

    def fsync(fd: int) -> None:
        names.append(Path(f"/proc/self/fd/{fd}").readlink().name)
        REAL_FSYNC(fd)

    monkeypatch.setattr(_log, "fsync", fsync)
    return names


@pytest.fixture
def fail(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Return a function that lets a function of the log's fail from now on."""

    def arm(name: str) -> None:
        def fails(_: object) -> None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        monkeypatch.setattr(_log, name, fails)

    yield arm
    monkeypatch.undo()


async def test_all_that_is_shown_was_synced_once(
    path: Path, url: str, synced: list[str]
) -> None:
    """By whom does not matter: who reads syncs the log, once for all it shows."""
    async with dp.connect(url) as promises:
        await promises.promise("kept").resolve(1)
        for look in (
            lambda: promises.promise("x").peek(),
            lambda: promises.promise("x").info(),
            lambda: promises.promise("x").get(),
            lambda: promises.promise("x").resolve(8),
            lambda: listed(promises),
        ):
            with opened(path) as connection:
                connection.execute(
                    "DELETE FROM promises WHERE id <> CAST('kept' AS BLOB)"
                )
            settle_carelessly(path, "x")
            synced.clear()
            session_of(promises)._log.durable = 0
            assert str(await look()).count("7")
            assert ["p.db-wal"] == synced
            await look()
            assert ["p.db-wal"] == synced


async def listed(promises: dp.Promises) -> list[Any]:
    """Return what a list shows."""
    return [info async for info in promises.list(prefix="x")]


async def test_a_commit_without_a_change_makes_nothing_durable(
    path: Path, url: str, synced: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite syncs nothing then, and who was faster may not have done so."""
    begin = SqliteSession.begin

    def late(self: SqliteSession) -> None:
        settle_carelessly(path, "x")
        begin(self)

    async with dp.connect(url) as promises:
        await promises.promise("kept").resolve(1)
        synced.clear()
        monkeypatch.setattr(SqliteSession, "begin", late)
        assert dp.Resolved(7) == await promises.promise("x").resolve(8)
        assert ["p.db-wal"] == synced


@pytest.mark.parametrize("what", ["settle", "dispose"])
async def test_what_fails_after_a_commit_leaves_it_unknown(
    url: str, fail: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """It was done, and can be seen: nobody is told that nothing was changed."""
    async with dp.connect(url) as promises:
        promise = promises.promise("x")
        await promises.promise("kept").resolve(1)
        session_of(promises)._log._named = None
        fail("fsync_directory")
        with pytest.raises(dp.OutcomeUnknownError):
            await (promise.resolve(1) if what == "settle" else promise.dispose())
        monkeypatch.undo()

        settled = dp.Resolved(1) if what == "settle" else dp.Pending()
        assert settled == await promise.peek()
        assert dp.Resolved(1) == await promise.resolve(1)


async def test_after_a_failed_fsync_the_log_is_cut_off_before_anything_is_shown(
    path: Path, url: str, monkeypatch: pytest.MonkeyPatch, synced: list[str]
) -> None:
    """
    A later success proves nothing of what an fsync has lost.

    So all is written to the database, and what is left of the log is not to come back.
    """
    log = path.with_name("p.db-wal")
    async with dp.connect(url) as promises:
        await promises.promise("kept").resolve(1)
        with opened(path) as others:
            others.execute("SELECT count(*) FROM promises").fetchall()
            settle_carelessly(path, "x")
            with monkeypatch.context() as broken:
                broken.setattr(_log, "fsync", _failing)
                with pytest.raises(dp.BackendUnavailableError, match="Input/output"):
                    await promises.promise("x").peek()

            assert log.stat().st_size > 0
            synced.clear()
            assert dp.Resolved(7) == await promises.promise("x").peek()
            # Once for what was cut off, and once for what is read.
            assert ["p.db-wal"] * 2 == synced
            assert 0 == log.stat().st_size


def _failing(_: int) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


async def test_a_doubt_stays_while_others_hold_the_log(
    path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkpoint that somebody holds up has not mended anything."""
    monkeypatch.setattr(_session, "_BUSY", 0.01)
    async with dp.connect(url) as promises:
        await promises.promise("kept").resolve(1)
        with opened(path) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM promises").fetchall()
            settle_carelessly(path, "x")
            with monkeypatch.context() as broken:
                broken.setattr(_log, "fsync", _failing)
                with pytest.raises(dp.BackendUnavailableError):
                    await promises.promise("x").peek()
            for _ in range(2):
                with pytest.raises(dp.BackendUnavailableError, match="locked"):
                    await promises.promise("x").peek()
        assert dp.Resolved(7) == await promises.promise("x").peek()


@pytest.mark.parametrize("gone", [("",), ("", "-wal", "-shm"), ("-wal",), ("-shm",)])
async def test_nobody_is_told_into_a_file_that_was_removed(
    path: Path, url: str, gone: tuple[str, ...]
) -> None:
    """Whatever is removed, what is acknowledged after is there for the next one."""
    async with dp.connect(url) as promises:
        await promises.promise("before").resolve(1)
        for suffix in gone:
            path.with_name(path.name + suffix).unlink()
        assert dp.Resolved(2) == await promises.promise("x").resolve(2)
        async with dp.connect(url) as others:
            assert dp.Resolved(2) == await others.promise("x").peek()
            if "" not in gone:
                assert dp.Resolved(1) == await others.promise("before").peek()
    assert [("ok",)] == rows(path, "PRAGMA integrity_check")


@pytest.mark.slow
async def test_a_file_that_another_process_had_open_is_made_anew(
    path: Path, url: str
) -> None:
    """What that one leaves beside it is not taken for the new one's."""
    async with dp.connect(url) as promises:
        with removed_file(path), removed_file(path):
            assert dp.Resolved(2) == await promises.promise("x").resolve(2)
        async with dp.connect(url) as others:
            assert dp.Resolved(2) == await others.promise("x").peek()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("gone", "looks"), [("-wal", False), ("-wal", True), ("-shm", False)]
)
def test_what_two_processes_use_loses_nothing_with_a_file(
    path: Path, url: str, gone: str, looks: bool
) -> None:
    """An error says that it is gone; what was told is there when both have ended."""
    kept = [f"old-{number}" for number in range(5)]

    async def use(promises: dp.Promises) -> None:
        await promises.promise("before").resolve(1)
        path.with_name(path.name + gone).unlink()
        if looks:
            # What it reads is not in the log that somebody else has made since.
            path.with_name(path.name + gone).touch()
            session_of(promises)._log.durable = 0
            with pytest.raises(dp.BackendUnavailableError, match="removed or replaced"):
                await promises.promise("before").peek()
        for id in ("x", "y"):
            with suppress(dp.BackendUnavailableError, dp.OutcomeUnknownError):
                await promises.promise(id).resolve(1)
                kept.append(id)

    async def main() -> None:
        with held_file(path) as end:
            async with dp.connect(url) as promises:
                await use(promises)
                end()
        async with dp.connect(url) as others:
            for id in ("before", *kept):
                assert await others.promise(id).peek() != dp.Pending()

    anyio.run(main)
    assert [("ok",)] == rows(path, "PRAGMA integrity_check")


@contextmanager
def held_file(path: Path) -> Iterator[Callable[[], object]]:
    """Let another process have a database open; yield what ends it."""
    with Popen(
        [sys.executable, "-c", _HOLDER, path], stdin=PIPE, stdout=PIPE
    ) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert b"held\n" == holder.stdout.readline()
        yield lambda: holder.communicate(timeout=60)


@contextmanager
def removed_file(path: Path) -> Iterator[None]:
    """Remove a database that another process has open until this is left."""
    with held_file(path) as end:
        path.unlink()
        yield
        end()


_HOLDER: Final = """
import sys
import anyio
import dp_core as dp

async def hold() -> None:
    async with dp.connect("sqlite:" + sys.argv[1]) as promises:
        for number in range(5):
            await promises.promise(f"old-{number}").resolve(number)
        print("held", flush=True)
        sys.stdin.read()

anyio.run(hold)
"""


async def test_a_file_that_is_removed_during_a_commit_gets_no_acknowledgement(
    path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A settle is done again, in the new one; of a disposal nobody knows."""
    begin = SqliteSession.begin
    removed: list[Path] = []

    def late(self: SqliteSession) -> None:
        begin(self)
        if not removed:
            removed.append(path)
            path.unlink()

    monkeypatch.setattr(SqliteSession, "begin", late)
    async with dp.connect(url) as promises:
        assert dp.Resolved(2) == await promises.promise("x").resolve(2)
        removed.clear()
        with pytest.raises(dp.OutcomeUnknownError, match="removed or replaced"):
            await promises.promise("x").dispose()
        await promises.promise("y").resolve(3)
    async with dp.connect(url) as others:
        assert dp.Resolved(3) == await others.promise("y").peek()
