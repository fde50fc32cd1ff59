"""How and when a process ended is what the kernel says, whoever looks and when."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from dp_core.notebook import JOURNAL, Fleet, JournalEvent
from dp_core.notebook.processes._end_watch import watch_end


def child(code: str) -> subprocess.Popen[bytes]:
    """Start a Python."""
    return subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)


def waiter_for(process: subprocess.Popen[bytes]) -> threading.Thread:
    """Return the thread that waits for the end of a process."""
    name = f"end of {process.pid}"
    [waiter] = [thread for thread in threading.enumerate() if thread.name == name]
    return waiter


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("raise SystemExit(3)", "exit code 3"),
        ("pass", "exit code 0"),
        ("import os; os.kill(os.getpid(), 9)", "signal 9"),
        ("import os; os.kill(os.getpid(), 15)", "signal 15 (Terminated)"),
    ],
)
async def test_the_end_in_words(code: str, words: str) -> None:
    """Exit codes and signals, as the parent is told by wait(2)."""
    with child(code) as process:
        assert words == str(await watch_end(process))


async def test_the_time_is_that_of_the_end() -> None:
    """It is noted while the notebook computes, and its event loop stands still."""
    with child("input()") as process:
        end = watch_end(process)
        [waiter] = [
            t for t in threading.enumerate() if t.name.endswith(f" {process.pid}")
        ]
        process.kill()
        waiter.join()
        later = time.monotonic()

        assert not end.done()
        assert (await end).at <= later


def test_an_end_after_the_notebook_s_loop_is_nobody_s() -> None:
    """A process may outlive the event loop that watched it; nothing is raised."""

    async def watch() -> None:
        watch_end(process)

    with child("input()") as process:
        asyncio.run(watch())
        [waiter] = [
            t for t in threading.enumerate() if t.name.endswith(f" {process.pid}")
        ]
        process.kill()
        waiter.join()

    assert -signal.SIGKILL == process.returncode


@asynccontextmanager
async def heard(pid: int, kind: str) -> AsyncIterator[asyncio.Future[JournalEvent]]:
    """Give the event of a kind that the journal will have about a process."""
    found: asyncio.Future[JournalEvent] = asyncio.get_running_loop().create_future()

    def hear(event: JournalEvent) -> None:
        if (event.pid, event.kind) == (pid, kind) and not found.done():
            found.set_result(event)

    JOURNAL.listeners.append(hear)
    try:
        yield found
    finally:
        JOURNAL.listeners.remove(hear)


async def test_a_death_is_known_though_nobody_asks(pair: Fleet) -> None:
    """Killed from outside, idle or in a background cell, or gone by its own exit."""
    alice, bob = pair.pids["alice"], pair.pids["bob"]

    async with heard(alice, "killed") as killed, heard(bob, "ended") as ended:
        os.kill(alice, signal.SIGKILL)
        assert "signal 9" == (await killed).text
        assert {"bob"} == pair.pids.keys()

        await pair.begin(
            "bob",
            "print('ready')\nawait __import__('asyncio').sleep(0)\n"
            "import os; os._exit(7)",
            until="ready",
        )
        assert "exit code 7" == (await ended).text
    assert {} == pair.pids

    await pair.restart("alice")
    await pair.restart("bob")
    assert {"alice", "bob"} == pair.pids.keys()
    told = [(e.kind, e.pid) for e in JOURNAL if e.process == "alice"][-3:]
    assert [("started", alice), ("killed", alice), ("started", pair.pids["alice"])] == (
        told
    )


async def test_a_fleet_stops_what_it_no_longer_needs(pair: Fleet) -> None:
    """That is no death: it has a kind of its own, and the board says that it ended."""
    alice = pair.pids["alice"]
    async with heard(alice, "stopped") as stopped:
        await pair.stop("alice")
        assert "" == stopped.result().text
