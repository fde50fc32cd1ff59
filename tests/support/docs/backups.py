"""Backups of stores in use, as docs/how-to/choose-a-store.md makes them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import anyio

import dp_core as dp
from support.docs.documents import COMMAND
from support.paths import ROOT

__all__ = ["PAGE", "check", "commands", "enter", "is_whole"]

PAGE: Final = ROOT / "docs" / "how-to" / "choose-a-store.md"

_MARKED: Final = re.compile(
    r"^<!-- (?P<mark>[\w: ]+) -->\n```console\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)

_SETTLING: Final = """
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
    [block] = [m["text"] for m in _MARKED.finditer(text) if m["mark"] == mark]
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


def is_whole(way: str, url: str, directory: Path, between: list[str]) -> None:
    """
    Make a backup of a store in use, and restore it.

    Args:
        way: The marks of the page's commands: the store's, and the way's.
        url: The store.
        directory: Where to enter the commands.
        between: Commands between the backup and its being restored.

    Raises:
        AssertionError: Something that was acknowledged before is not there, or is
            damaged, or promises do not go on.
    """
    kind = way.partition(" ")[0]
    with _settling(url, directory) as done:
        acknowledged = next(n for n in done if n >= 10) + 1
        enter(commands(f"backup: {way}"), directory)
        # It was in use all the time.
        for _ in range(2):
            next(done)

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
                enter([*between, *commands(f"restore: {kind}")], directory)
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


@contextmanager
def _settling(url: str, directory: Path) -> Iterator[Iterator[int]]:
    """Let another process settle and create; yield the numbers of what it has done."""
    with subprocess.Popen(
        [sys.executable, "-c", _SETTLING, url],
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
