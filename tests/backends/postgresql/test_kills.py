"""Kills, and real processes that race: nothing acknowledged is lost, or told twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import anyio
import pytest
from anyio import to_thread

from dp_core import Resolved, connect
from support.paths import ROOT
from support.postgresql.server import PostgresServer, running

SESSIONS = "SELECT pid FROM pg_stat_activity WHERE application_name = 'load'"


@contextmanager
def loading(url: str, tasks: int, *ids: str) -> Iterator[subprocess.Popen[str]]:
    """Run a process that settles, until the block ends."""
    command = [sys.executable, "-m", "support.postgresql.load", url, str(tasks), *ids]
    path = os.pathsep.join(map(str, (ROOT / "tests", ROOT / "backends", ROOT)))
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    ) as process:
        try:
            assert process.stdout is not None
            assert "ready\n" == process.stdout.readline()
            yield process
        finally:
            process.kill()


def go(process: subprocess.Popen[str]) -> None:
    """Let it begin."""
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def told(process: subprocess.Popen[str], enough: int) -> dict[str, str]:
    """Return what it was told to stand, of so many promises."""
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(enough)]
    return dict(json.loads(line) for line in lines)


def test_processes_race(url: str) -> None:
    """Those that make the store and settle at once are told the same outcomes."""
    ids = [f"race {number}" for number in range(50)]
    with (
        loading(url, 2, *ids) as one,
        loading(url, 2, *ids) as two,
        loading(url, 2, *reversed(ids)) as three,
    ):
        for process in (one, two, three):
            go(process)
        stand = [told(process, 2 * len(ids)) for process in (one, two, three)]
        codes = [process.wait(60) for process in (one, two, three)]

    assert [0] * 3 == codes
    assert stand[0].keys() == set(ids)
    assert stand[0] == stand[1] == stand[2]


@pytest.fixture(scope="module")
def own_server() -> Iterator[PostgresServer]:
    """Return a server that may be killed."""
    with running() as server:
        yield server


def kill_session(server: PostgresServer) -> None:
    """Kill one process of the server; it ends all connections then."""
    ((pid,), *_) = server.execute(SESSIONS)
    server.kill_backend(pid)


def kill_server(server: PostgresServer) -> None:
    """Kill all of it, and start it again."""
    server.kill()
    server.start()


def restart(server: PostgresServer) -> None:
    """Stop it as an update does, and start it again."""
    server.restart()


@pytest.mark.parametrize("kill", [kill_session, kill_server, restart])
async def test_kills_under_load(
    own_server: PostgresServer, kill: Callable[[PostgresServer], None]
) -> None:
    """What was acknowledged stands; who settles goes on; who waits is told."""
    schema = own_server.new_schema()
    url = own_server.url(schema=schema, retry="60")
    values: list[object] = []

    async def wait(id: str) -> None:
        values.append(await promises.promise(id).get())

    with loading(f"{url}&application_name=load", 8) as process:
        async with connect(url) as promises:
            with anyio.fail_after(120):
                async with anyio.create_task_group() as tasks:
                    for number in range(20):
                        tasks.start_soon(wait, f"late {number}")
                    go(process)
                    stand = await to_thread.run_sync(told, process, 100)
                    # Not in a thread that ends: the server would end with it.
                    kill(own_server)
                    stand |= await to_thread.run_sync(told, process, 400)
                    for number in range(20):
                        await promises.promise(f"late {number}").resolve(number)
            process.send_signal(signal.SIGKILL)
            lost = {
                id: (value, state)
                for id, value in stand.items()
                if (state := await promises.promise(id).peek()) != Resolved(value)
            }

    assert {} == lost
    assert list(range(20)) == sorted(values, key=int)  # type: ignore[call-overload]
