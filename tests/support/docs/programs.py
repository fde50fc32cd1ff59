"""The programs of examples/frameworks as processes: servers, and those that end."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, TypeVar

import dp_core as dp
from support.docs.walkthrough import port_of
from support.paths import EXAMPLES
from support.server_process import TIMEOUT, Server

__all__ = ["FRAMEWORKS", "python", "running", "seen", "served", "state", "until"]

FRAMEWORKS: Final = EXAMPLES / "frameworks"
T = TypeVar("T")


@contextmanager
def running(
    *words: object, cwd: Path, **environment: str
) -> Iterator[subprocess.Popen[str]]:
    """Run a Python program of the examples; nothing of it is left afterwards."""
    with subprocess.Popen(
        [sys.executable, *map(str, words)],
        cwd=cwd,
        env={
            **{name: value for name, value in os.environ.items() if name[:3] != "DP_"},
            "PYTHONPATH": str(FRAMEWORKS),
            "PYTHONUNBUFFERED": "1",
            **environment,
        },
        start_new_session=True,
        stderr=subprocess.STDOUT,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def served(*words: object, cwd: Path, **environment: str) -> Iterator[Server]:
    """Run a server of the examples at a free port."""
    with running("-m", *words, cwd=cwd, **environment) as process:
        yield Server(process, port_of(process), "")


def python(*words: object, cwd: Path, **environment: str) -> tuple[int, str]:
    """Run a program to its end; return its exit code and what it printed."""
    with running(*words, cwd=cwd, **environment) as process:
        output, _ = process.communicate(timeout=TIMEOUT)
        return process.returncode, output


def state(url: str, id: str) -> dp.State[object]:
    """Return the state of a promise."""
    return asyncio.run(_peek(url, id))


def seen(url: str, id: str) -> bool:
    """Return whether a promise was created."""
    return asyncio.run(_terms(url, id)) is not None


def until(condition: Callable[[], T]) -> T:
    """Return what *condition* returns as soon as that is true; fail after a minute."""
    end = time.monotonic() + TIMEOUT
    while not (found := condition()):
        assert time.monotonic() < end, "nothing came of it"
        time.sleep(0.01)
    return found


async def _peek(url: str, id: str) -> dp.State[object]:
    async with dp.connect(url) as promises:
        return await promises.promise(id).peek()


async def _terms(url: str, id: str) -> dp.Terms[object] | None:
    async with dp.connect(url) as promises:
        return (await promises.promise(id).info()).terms
