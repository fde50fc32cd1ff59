"""What a fleet opens is little, is counted before, and is given back whatever fails."""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
import pytest
import zmq
import zmq.asyncio
from jupyter_client import launcher
from jupyter_client.manager import AsyncKernelManager

from dp_core.notebook import Fleet, FleetError, ProcessStartError
from dp_core.notebook.processes import _pipes
from dp_core.notebook.processes._kernel import Kernel

THREE = ("alice", "bob", "carol")

DRIVER = """
import asyncio, os, resource, sys
from pathlib import Path
import psutil
from dp_core.notebook import Fleet, FleetError

limit, processes = map(int, sys.argv[1:])
used = lambda: len(list(Path("/dev/fd").iterdir())) - 1

async def main():
    before = used()
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    fleet = Fleet(*(f"p{n}" for n in range(processes)))
    try:
        await fleet.start()
    except FleetError as error:
        print("refused:", error)
    else:
        during = used()
        results = await fleet.run_all("1 + 1")
        print("ran", *(result.value for result in results.values()))
        print(during - before <= 8 * processes + 16)
        await fleet.stop()
    print(used() <= before + 6, len(psutil.Process().children()))

asyncio.run(main())
"""


def drive(limit: int, processes: int, place: Path) -> list[str]:
    """Start a fleet in a process that may have so many files open."""
    command = [sys.executable, "-c", DRIVER, str(limit), str(processes)]
    done = subprocess.run(
        command,
        capture_output=True,
        check=False,
        env={**os.environ, "TMPDIR": str(place)},
        text=True,
        timeout=120,
    )
    assert 0 == done.returncode, done.stderr
    assert "" == done.stderr
    assert [] == list(place.iterdir())
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("limit", "processes"), [(1024, 130), (256, 60), (256, 30), (60, 1)]
)
def test_too_many_processes_are_refused_in_words(
    limit: int, processes: int, tmp_path: Path
) -> None:
    """Before any is started it is said what they need, and what to do."""
    said, left = drive(limit, processes, tmp_path)

    assert said.startswith(f"refused: {processes} processes need ")
    assert f"of the {limit:,} that it may have; start fewer" in said
    assert "ulimit -n" in said
    assert "True 0" == left


@pytest.mark.parametrize(("limit", "processes"), [(256, 8), (120, 2)])
def test_what_is_not_refused_runs(limit: int, processes: int, tmp_path: Path) -> None:
    """Processes that were counted start, under the same limit, and leave nothing."""
    *_, ran, few, left = drive(limit, processes, tmp_path)

    assert " ".join(["ran", *["2"] * processes]) == ran
    assert ("True", "True 0") == (few, left)


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return the directory in which fleets make theirs."""
    # Sockets have short paths, and pytest's directories do not.
    with TemporaryDirectory(prefix="dp-test-", dir="/tmp") as parent:
        monkeypatch.setattr(tempfile, "tempdir", parent)
        yield Path(parent)


def _descriptors() -> int:
    return psutil.Process().num_fds()


def _nothing_is_left(fleet: Fleet, place: Path, before: int) -> None:
    assert {} == fleet.pids
    assert [] == list(place.iterdir())
    # Other tests' servers may be children of this process, too.
    kernels = [
        child
        for child in psutil.Process().children()
        if any("_kernel_main" in word for word in child.cmdline())
    ]
    assert [] == kernels
    # The loop's own, which the first fleet makes.
    assert before + 8 >= _descriptors()


def _nth(n: int, function: Callable[..., Any], error: Exception) -> Callable[..., Any]:
    """Return *function*, which fails the *n*-th time."""
    calls = iter(range(1, 10_000))

    def failing(*args: Any, **kwargs: Any) -> Any:
        if next(calls) == n:
            raise error
        return function(*args, **kwargs)

    return failing


FULL = OSError(errno.EMFILE, "Too many open files")
FAILURES = {
    "the first pipe": (os, "pipe", 1, FULL),
    "the second pipe": (os, "pipe", 2, FULL),
    "the file of the reports": (_pipes, "_nameless_file", 1, FULL),
    "the directory": (tempfile, "mkdtemp", 1, OSError(errno.ENOSPC, "No space left")),
    "the context": (zmq.asyncio, "Context", 1, zmq.ZMQError(errno.EMFILE)),
    "the second process": (launcher, "Popen", 2, FULL),
    "the third process": (launcher, "Popen", 3, OSError(errno.EAGAIN, "no pid")),
    "the second client": (AsyncKernelManager, "client", 2, zmq.ZMQError(errno.EMFILE)),
    "a loaded kernel": (Kernel, "_connect", 3, RuntimeError("died")),
    "a connected socket": (Kernel, "_connect", 1, zmq.ZMQError(errno.EMFILE)),
}


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES.keys())
async def test_what_was_begun_is_undone(
    failure: tuple[Any, str, int, Exception],
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever fails while a fleet starts, it says so, and nothing of it is left."""
    owner, name, n, error = failure
    before, fleet = _descriptors(), Fleet(*THREE)
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, _nth(n, getattr(owner, name), error))
        with pytest.raises(FleetError, match=r"did not start: |cannot be started: "):
            await fleet.start()

    _nothing_is_left(fleet, place, before)


async def test_a_restart_that_fails_leaves_nothing(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The only process of a fleet is killed, and not started again."""
    before, fleet = _descriptors(), Fleet("alice")
    await fleet.start()
    with monkeypatch.context() as patch:
        patch.setattr(launcher, "Popen", _nth(1, subprocess.Popen, FULL))
        with pytest.raises(ProcessStartError, match="process alice did not start"):
            await fleet.restart("alice")

    _nothing_is_left(fleet, place, before)


@pytest.mark.parametrize("steps", [0, 1, 2, 3, 5, 8, 13, 100])
async def test_a_start_that_is_cancelled_leaves_nothing(
    steps: int, place: Path
) -> None:
    """Wherever it is, at its beginning or while processes load."""
    before, fleet = _descriptors(), Fleet(*THREE)
    starting = asyncio.create_task(fleet.start())
    for _ in range(steps):
        await asyncio.sleep(0)

    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting

    _nothing_is_left(fleet, place, before)


async def test_no_room_is_said_before_anything_is_opened(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where no file is left to count the open ones with."""
    before, fleet = _descriptors(), Fleet("alice")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "iterdir", _nth(1, Path.iterdir, FULL))
        with pytest.raises(FleetError, match="1 processes need"):
            await fleet.start()

    _nothing_is_left(fleet, place, before)
