"""The backups of docs/how-to/choose-a-store.md are whole, and can be restored."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import anyio
import pytest

import dp_core as dp
from support.docs.backups import PAGE, check, commands, enter, is_whole
from support.docs.documents import COMMAND


def need(program: str) -> None:
    """Skip where a program is missing; fail in continuous integration."""
    if shutil.which(program) is None:
        missing = f"{program} is not installed"
        pytest.fail(missing) if "CI" in os.environ else pytest.skip(missing)


@pytest.mark.parametrize("way", ["vacuum", "backup"])
def test_a_backup_of_an_sqlite_store_in_use_is_whole(way: str, tmp_path: Path) -> None:
    """Restored, it has all that was acknowledged before, and goes on from there."""
    is_whole(f"sqlite {way}", f"sqlite:{tmp_path}/promises.db", tmp_path, [])


@pytest.mark.parametrize("way", ["tar", "rsync", "cp"])
def test_a_copy_of_a_directory_in_use_is_whole(way: str, tmp_path: Path) -> None:
    """The same; and who waits goes on waiting while it is restored."""
    need(way)
    unpack = ["mkdir copy", "tar -xf copy.tar -C copy --strip-components=1"]

    is_whole(
        f"file {way}",
        f"file:{tmp_path}/promises",
        tmp_path,
        unpack if way == "tar" else [],
    )


def test_a_copy_of_the_file_alone_is_not_whole(tmp_path: Path) -> None:
    """What SQLite keeps in its log is not there, and the copy does not say so."""

    async def copy() -> dp.State[object]:
        async with dp.connect(f"sqlite:{tmp_path}/promises.db") as promises:
            await promises.promise("id").resolve(1)
            # By another process, as SQLite's locks are of this one.
            enter(["cp promises.db alone.db"], tmp_path)
        async with dp.connect(f"sqlite:{tmp_path}/alone.db") as alone:
            return await alone.promise("id").peek()

    assert dp.Pending() == anyio.run(copy)


def test_a_disposal_during_a_copy_may_damage_that_promise(tmp_path: Path) -> None:
    """The copy of a directory says so, the others are there, and disposing mends it."""
    (copy := tmp_path / "copy").mkdir(0o700)

    async def dispose_meanwhile() -> None:
        async with dp.connect(f"file:{tmp_path}/promises") as promises:
            for id in ("disposed", "kept"):
                await promises.promise(id).resolve(id)
            enter(["cp --archive promises/. copy"], tmp_path)
            files = [p for p in (copy / "p").glob("*/*") if "disposed" in p.read_text()]
            await promises.promise("disposed").dispose()
            # As by a copier that has come to this file only now.
            for file in files:
                shutil.copy2(tmp_path / "promises" / file.relative_to(copy), file)
        async with dp.connect(f"file:{copy}") as copied:
            with pytest.raises(dp.CorruptPromiseError):
                await copied.promise("disposed").peek()
            assert "kept" == await copied.promise("kept")
            await copied.promise("disposed").dispose()
            assert dp.Pending() == await copied.promise("disposed").peek()

    anyio.run(dispose_meanwhile)


def test_promises_go_from_store_to_store(tmp_path: Path) -> None:
    """The page's commands copy there, and back."""
    value = [0, "x" * 5000]

    async def settle() -> None:
        async with dp.connect(f"file:{tmp_path}/promises") as promises:
            await promises.promise("done-0").resolve(value, by="load")

    anyio.run(settle)

    printed = enter(commands("copies"), tmp_path)

    assert 2 == len(printed.splitlines())

    async def look() -> None:
        async with dp.connect(f"file:{tmp_path}/back") as back:
            await check(back, 0)
            assert value == await back.promise("done-0")

    anyio.run(look)


def test_all_commands_of_the_page_are_entered() -> None:
    """No block of commands is without a mark by which a test knows it."""
    text = PAGE.read_text(encoding="utf-8")

    assert ["umask 077"] == [
        line
        for block in re.findall(
            r"(?<! -->\n)^```console\n(.*?)^```$", text, re.DOTALL | re.MULTILINE
        )
        for line, _ in COMMAND.findall(block)
    ]
