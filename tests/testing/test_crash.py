"""`dp_core.testing.crash`: the sweep, for any backend with a store URL."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import count
from pathlib import Path
from typing import Any

import anyio
import pytest

from dp_core import (
    InvalidPromiseIdError,
    Pending,
    Rejected,
    Resolved,
    State,
    connect,
)
from dp_core.testing.crash import (
    KEEPS,
    SCENARIOS,
    STUCK,
    CrashError,
    Disk,
    Point,
    Step,
    VictimRunner,
    crash_sweep,
    failed_fsync_sweep,
)
from dp_core.testing.crash._child import (
    _to_json,
    perform,
    perform_on,
    state_from_json,
)
from dp_core.testing.crash._model import acknowledged, unacknowledged
from dp_core.testing.crash._victims import thinned
from support.core.program import UNMEASURED
from support.file.sweeps import missing, need_tools
from support.paths import TESTS
from support.restate import eventually

PENDING = frozenset({Pending()})
NAMES = count()
STEP = Step("resolve", "x", "ours")


def test_an_acknowledgement_narrows_the_belief() -> None:
    """Only a state that fits the result is possible then."""
    unknown = PENDING | {Resolved("theirs"), Rejected("no")}

    assert {Resolved("ours")} == acknowledged(PENDING, STEP, Resolved("ours"))
    assert {Resolved("theirs")} == acknowledged(unknown, STEP, Resolved("theirs"))
    assert set() == acknowledged(PENDING, STEP, Resolved("theirs"))
    assert PENDING == acknowledged(unknown, Step("dispose"), Pending())
    assert unknown == acknowledged(unknown, Step("clean"), Pending())


def test_a_step_without_acknowledgement_widens_the_belief() -> None:
    """The states before and after are possible, and no others."""
    assert PENDING | {Resolved("ours")} == unacknowledged(PENDING, [STEP])
    settled = frozenset({Rejected("no")})
    assert settled == unacknowledged(settled, [STEP])
    assert settled | PENDING == unacknowledged(settled, [Step("dispose")])


def test_long_runs_of_one_call_are_thinned() -> None:
    """Of 256 points at one call the first, the last and some in between are kept."""
    points = [Point("mkdir", n, "") for n in range(1, 257)]
    others = [Point("fsync", n, "") for n in range(1, 5)]

    kept = thinned([*others, *points, *others])

    assert 4 + 6 + 4 == len(kept)
    assert {points[0], points[-1]} <= set(kept)


async def test_a_store_that_forgets_is_caught() -> None:
    """The report names the law, its demand, and the history."""
    need_tools()
    with pytest.raises(CrashError) as caught:
        await crash_sweep(
            lambda: f"memory:{next(NAMES)}",
            scenarios=SCENARIOS[2:3],
            environment=UNMEASURED,
            patience=2,
            stop_at_first=True,
        )

    assert KEEPS in caught.value.report.broken
    for words in (
        "a-crash-loses-nothing-acknowledged",
        "contract: An outcome that `settle` has returned survives",
        "scenario: resolve",
        "returned Resolved(value='the first')",
        "can only be Resolved(value='the first'), and is pending",
        "afterwards",
    ):
        assert words in str(caught.value)


def test_a_process_that_does_not_end_is_caught() -> None:
    """A sweep never hangs, whatever the backend does."""
    need_tools()
    program = "import time; from dp_core.testing.crash import serve; serve({})"
    child = (sys.executable, "-c", program.format("lambda *_: time.sleep(1000)"))

    async def sweep() -> None:
        await crash_sweep(
            lambda: "memory:", scenarios=SCENARIOS[2:3], child=child, patience=1
        )

    with pytest.raises(CrashError, match="did not end within 1 s") as caught:
        anyio.run(sweep)
    assert STUCK in caught.value.report.broken


def test_a_process_that_fails_was_not_killed() -> None:
    """Its error is what the sweep reports."""
    need_tools()
    program = "from dp_core.testing.crash import serve; serve(lambda *_: 1 / 0)"

    with VictimRunner((sys.executable, "-c", program), {}, 20) as runner:
        ended = runner.run("memory:", [STEP])

    assert not ended.killed
    assert (ended.failure or "").startswith("ZeroDivisionError")


@pytest.mark.parametrize("abrupt", [False, True])
def test_an_abrupt_process_ends_at_its_last_acknowledgement(
    tmp_path: Path, abrupt: bool
) -> None:
    """An abrupt end runs no code after it, such as closing, which may flush."""
    need_tools()
    closed = tmp_path / "closed"
    program = f"""
from pathlib import Path
from dp_core import Pending
from dp_core.testing.crash import serve

def perform(url, steps, acknowledge):
    for _ in steps:
        acknowledge(Pending())
    Path({str(closed)!r}).touch()

serve(perform)
"""
    looks = [Step("peek", "x"), Step("peek", "y")]

    with VictimRunner((sys.executable, "-c", program), {}, 20) as runner:
        ended = runner.run("memory:", looks, abrupt=abrupt)

    assert ((Pending(),) * 2, False, None) == (
        ended.answers,
        ended.killed,
        ended.failure,
    )
    assert (not abrupt) == closed.exists()


MOUNTING = """
import sys
from pathlib import Path
from dp_core.testing.crash import Disk
from support.core.disks.small_disks import private_mounts, small_memory

private_mounts()
root = Path(sys.argv[1])
with Disk(root, size=160 << 20), small_memory(root / "memory", "size=1m"):
    print("mounted", flush=True)
    sys.stdin.read()
"""


def test_disks_go_with_the_process_that_mounted_them(tmp_path: Path) -> None:
    """Killed, it leaves no mount and no loop device; nobody else has seen one."""
    missing(Disk.missing())
    command = [sys.executable, "-c", MOUNTING, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        assert process.stdout is not None
        assert "mounted\n" == process.stdout.readline()
        theirs = Path(f"/proc/{process.pid}/mounts").read_text()
        ours = Path("/proc/self/mounts").read_text()
        process.kill()

    assert 2 == theirs.count(f" {tmp_path}/")
    assert str(tmp_path) not in ours
    eventually(lambda: str(tmp_path) not in devices(), "its loop device is given back")


def test_this_run_has_mounts_of_its_own() -> None:
    """So a test that mounts a disk needs to do nothing for the case of its death."""
    missing(Disk.missing())
    runner = Path(f"/proc/{os.getppid()}/ns/mnt")
    assert Path("/proc/self/ns/mnt").readlink() != runner.readlink()


def devices() -> str:
    """Return all loop devices, with the files that they show."""
    command = ["losetup", "--list", "--output=BACK-FILE"]
    return subprocess.check_output(command, text=True)


async def test_a_step_is_done_by_the_public_interface() -> None:
    """As a process does it that is killed; what it cannot do is an error."""
    async with connect(f"memory:steps-{next(NAMES)}") as promises:
        for step, expected in (
            (Step("peek", "x"), Pending()),
            (Step("resolve", "x", "a"), Resolved("a")),
            (Step("reject", "y", "no"), Rejected("no")),
            (Step("dispose", "y"), Pending()),
            (Step("expire", "z", "by default"), Pending()),
            (Step("peek", "z"), Resolved("by default")),
        ):
            assert expected == await perform(promises, step)
        with pytest.raises(ValueError, match="cannot do 'clean'"):
            await perform(promises, Step("clean", "x"))


@pytest.mark.parametrize(
    "state", [None, Pending(), Resolved([1]), Rejected("no")], ids=str
)
def test_an_acknowledgement_is_read_as_it_was_written(
    state: State[Any] | None,
) -> None:
    """Each state, and that it is not known; anything else is an error."""
    assert state == state_from_json(json.loads(json.dumps(_to_json(state))))
    with pytest.raises(ValueError, match="not a valid acknowledgement"):
        state_from_json({"other": 1})


@pytest.mark.parametrize("may_fail", [False, True])
def test_an_error_of_a_step_that_may_fail_is_acknowledged(may_fail: bool) -> None:
    """As that nothing is known; that of another step ends the process."""
    told: list[object] = []
    steps = [
        Step("resolve", "\ud800", 1, may_fail=may_fail),
        Step("resolve", "x", 1),
    ]
    run = perform_on("asyncio")
    if may_fail:
        run("memory:may-fail", steps, told.append)
        assert [None, Resolved(1)] == told
    else:
        with pytest.raises(InvalidPromiseIdError):
            run("memory:may-fail", steps, told.append)
        assert [] == told


def test_a_program_that_ends_before_it_begins_is_an_error() -> None:
    """It starts no process, so there is nothing to kill."""
    need_tools()
    with (
        VictimRunner((sys.executable, "-c", "input()"), {}, 20) as runner,
        pytest.raises(RuntimeError, match="does not answer"),
    ):
        runner.run("memory:", [STEP])


def test_a_sweep_of_fsyncs_says_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without strace it is an error that says what to install, not a success."""
    monkeypatch.setenv("PATH", "/nowhere")

    async def sweep() -> None:
        await failed_fsync_sweep(lambda: "memory:")

    with pytest.raises(RuntimeError, match="apt-get install strace"):
        anyio.run(sweep)


def test_a_disk_that_cannot_be_made_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command and its own words; where a tool is missing, which one."""
    missing(Disk.missing())
    with pytest.raises(OSError, match=r"mkfs.ext4 .*too small|mkfs.ext4"):
        Disk(tmp_path, size=1024).__enter__()
    monkeypatch.setenv("PATH", "/nowhere")
    assert "mkfs.ext4 is not installed" == Disk.missing()
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    assert "only root may mount a disk" == Disk.missing()
