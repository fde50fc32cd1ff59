"""The backups of docs/how-to/choose-a-store.md are whole, and can be restored."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import anyio
import pytest

import dp_core as dp
from support.docs.documents import COMMAND
from support.paths import ROOT

PAGE: Final = ROOT / "docs" / "how-to" / "choose-a-store.md"

MARKED: Final = re.compile(
    r"^<!-- (?P<mark>[\w: ]+) -->\n```console\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)

SETTLING: Final = """
import itertools, sys, anyio
import dp_core as dp

async def main(url):
    async with dp.connect(url) as promises:
        await promises.create("waited", tags={"kind": "approval"})
        for n in itertools.count():
            await promises.promise(f"done-{n}").resolve([n, "x" * 5000], by="load")
            await promises.create(f"open-{n}", tags={"n": str(n)})
            print(n, flush=True)

anyio.run(main, sys.argv[1])
"""


def commands(mark: str) -> list[str]:
    """Return the commands of the page's block that has a mark."""
    text = PAGE.read_text(encoding="utf-8")
    [block] = [m["text"] for m in MARKED.finditer(text) if m["mark"] == mark]
    return [line for line, _ in COMMAND.findall(block)]


def enter(lines: list[str], directory: Path) -> str:
    """Enter commands, of which none may fail; return what they print."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-c", "\n".join(["set -e", *lines])],
        cwd=directory,
        env={**os.environ, "PATH": path},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
    ).stdout


@contextmanager
def settling(url: str, directory: Path) -> Iterator[Iterator[int]]:
    """Let another process settle and create; yield the numbers of what it has done."""
    with subprocess.Popen(
        [sys.executable, "-c", SETTLING, url],
        cwd=directory,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            yield map(int, process.stdout)
        finally:
            process.kill()


async def check(restored: dp.Promises, acknowledged: int) -> None:
    """Check that a store has what was acknowledged, and nothing else than was done."""
    infos = {info.id: info async for info in restored.list()}
    told = {f"{kind}-{n}" for kind in ("done", "open") for n in range(acknowledged)}
    assert set() == told.difference(infos)
    for id, info in infos.items():
        kind, _, number = id.partition("-")
        if kind == "done":
            assert dp.Resolved([int(number), "x" * 5000], by="load") == info.state
            assert "load" == info.settled_by
        else:
            assert dp.Pending() == info.state
            assert info.terms is not None
            expected = {"n": number} if kind == "open" else {"kind": "approval"}
            assert expected == info.terms.tags


def need(program: str) -> None:
    """Skip where a program is missing; fail in continuous integration."""
    if shutil.which(program) is None:
        missing = f"{program} is not installed"
        pytest.fail(missing) if "CI" in os.environ else pytest.skip(missing)


@pytest.mark.parametrize(
    "way", ["sqlite vacuum", "sqlite backup", "file tar", "file rsync", "file cp"]
)
def test_a_backup_of_a_store_in_use_is_whole(way: str, tmp_path: Path) -> None:
    """Restored, it has all that was acknowledged before, and goes on from there."""
    kind, how = way.split()
    if how == "rsync":
        need(how)
    name = {"sqlite": "promises.db", "file": "promises"}[kind]
    url = f"{kind}:{tmp_path}/{name}"

    with settling(url, tmp_path) as done:
        acknowledged = next(n for n in done if n >= 10) + 1
        enter(commands(f"backup: {way}"), tmp_path)
        # It was in use all the time.
        for _ in range(2):
            next(done)
    if how == "tar":
        enter(["mkdir copy", "tar -xf copy.tar -C copy --strip-components=1"], tmp_path)

    async def restore() -> None:
        async with dp.connect(url) as promises, dp.connect(url) as others:
            told: list[object] = []

            async def wait() -> None:
                told.append(await promises.promise("waited").get())

            async with anyio.create_task_group() as tasks:
                if kind == "file":
                    # Who waits goes on waiting.
                    tasks.start_soon(wait)
                    await anyio.wait_all_tasks_blocked()
                enter(commands(f"restore: {kind}"), tmp_path)
                await check(others, acknowledged)
                if kind != "file":
                    tasks.start_soon(wait)
                    await anyio.wait_all_tasks_blocked()
                await others.promise("waited").resolve("yes")
                won = await others.promise("done-0").resolve("another")
                new = await others.promise("new").resolve("new")
            assert (["yes"], "new") == (told, new.unwrap())
            assert "another" != won.unwrap()

    anyio.run(restore)


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
    url = f"file:{tmp_path}/promises"

    async def settle() -> None:
        async with dp.connect(url) as promises:
            value = [0, "x" * 5000]
            await promises.promise("done-0").resolve(value, by="load")

    anyio.run(settle)

    printed = enter(commands("copies"), tmp_path)

    assert 2 == len(printed.splitlines())

    async def look() -> None:
        async with dp.connect(f"file:{tmp_path}/back") as back:
            await check(back, 0)
            assert [0, "x" * 5000] == await back.promise("done-0")

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
