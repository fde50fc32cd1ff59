"""Peer processes are real, die for real, and leave nothing behind."""

from __future__ import annotations

import asyncio
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import psutil
import pytest

import dp_core as dp
from dp_core.notebook import (
    JOURNAL,
    Fleet,
    ProcessBusyError,
    ProcessDiedError,
    ProcessFailedError,
    ProcessNameError,
    ProcessStartError,
    UnknownProcessError,
)
from support.notebook.kernels import gone

AWAIT = "import dp_core as dp\nprint(await dp.durable_promise({id!r}))"

TEN = tuple(f"p{i}" for i in range(10))


async def test_ten_processes_share_one_promise(store: str, id: str) -> None:
    """Ten kernels start in parallel without a clash, and agree on one outcome."""
    fleet = Fleet(*TEN, env={"DP_URL": store})
    await fleet.start()
    try:
        pids = fleet.pids
        code = f"""
import os, dp_core as dp
promise = dp.durable_promise({id!r})
if os.environ["DP_NOTEBOOK_PROCESS"] in ("p3", "p7"):
    await promise.resolve(f"by {{os.getpid()}}")
print(os.getpid(), await promise)
"""
        results = await fleet.run_all(code)
    finally:
        await fleet.stop()

    assert 11 == len({os.getpid(), *pids.values()})
    told = {name: result.text.split(maxsplit=1) for name, result in results.items()}
    assert {name: str(pid) for name, pid in pids.items()} == {
        name: pid for name, (pid, _) in told.items()
    }
    assert 1 == len({outcome for _, outcome in told.values()})
    assert gone(list(pids.values()))


async def test_a_killed_awaiter_gets_its_value_after_the_restart(
    pair: Fleet, store: str, id: str
) -> None:
    """Kill -9 of a process that awaits loses nothing: it awaits again, and gets it."""
    code = AWAIT.format(id=id)
    await pair.begin("alice", code)
    pid = pair.pids["alice"]

    await pair.kill("alice")

    assert not psutil.pid_exists(pid)
    assert (await pair.join("alice"))["alice"].died

    won = await dp.durable_promise(id, store).resolve("survived")
    await pair.restart("alice")
    result = await pair.run("alice", code)

    assert dp.Resolved("survived") == won
    assert pair.pids["alice"] not in {pid, os.getpid()}
    assert "survived\n" == result.text
    told = [event.kind for event in JOURNAL if event.process == "alice"]
    assert ["started", "awaiting", "killed", "started", "awaiting", "got"] == told[-6:]


async def test_a_dead_process_does_not_hang_its_cell(pair: Fleet) -> None:
    """A cell whose process dies ends with an error that says what to do."""
    died = r"died; await fleet.restart\('bob'\)"
    with anyio.fail_after(60), pytest.raises(ProcessDiedError, match=died):
        await pair.run("bob", "import os; os.kill(os.getpid(), 9)")

    with pytest.raises(UnknownProcessError, match="running are: alice"):
        await pair.run("bob", "1")

    await pair.restart("bob")
    assert "2" == (await pair.run("bob", "1 + 1")).value


async def test_what_it_said_before_it_died_is_there(pair: Fleet) -> None:
    """Output of a cell whose process is killed is not lost."""
    code = "import time\nprint('last words', flush=True)\ntime.sleep(3600)"
    await pair.begin("bob", code, until="last words")

    await pair.kill("bob")
    result = (await pair.join("bob", check=False))["bob"]

    assert result.died
    assert "last words\n" == result.text


async def test_a_busy_process_is_not_given_more(pair: Fleet, id: str) -> None:
    """A second cell for a process that awaits is refused, and says what it awaits."""
    await pair.begin("alice", AWAIT.format(id=id))

    with pytest.raises(ProcessBusyError, match=rf"waits for '{id}'"):
        await pair.run("alice", "1")


async def test_errors_of_a_process_are_errors_here(pair: Fleet) -> None:
    """A cell's error is raised with its name and text, or returned on request."""
    with pytest.raises(ProcessFailedError, match="ZeroDivisionError: division by zero"):
        await pair.run_all("1 / 0")

    result = await pair.run("alice", "1 / 0", check=False)
    assert not result.ok
    assert "ZeroDivisionError: division by zero" == result.error


async def test_interrupting_a_process(pair: Fleet, store: str, id: str) -> None:
    """Interrupted, an awaiting process stops at once; process and promise are whole."""
    promise = dp.durable_promise(id, store)
    await pair.begin("alice", AWAIT.format(id=id))

    pair.interrupt("alice")
    result = (await pair.join("alice", check=False))["alice"]

    assert result.error.startswith("CancelledError")
    assert dp.Pending() == await promise.peek()
    assert "'healthy'" == (await pair.run("alice", "'healthy'")).value


async def test_stopping_a_cell_stops_what_it_runs(pair: Fleet, id: str) -> None:
    """Cancelling `run` interrupts the process; it is idle and healthy afterwards."""
    code = AWAIT.format(id=id)
    waits = asyncio.Event()
    listener = _when("awaiting", id, waits.set)
    JOURNAL.listeners.append(listener)
    task = asyncio.create_task(pair.run("alice", code))
    await waits.wait()
    JOURNAL.listeners.remove(listener)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert "'healthy'" == (await pair.run("alice", "'healthy'")).value


def _when(kind: str, id: str, call: Callable[[], object]) -> Callable[[object], object]:
    return lambda event: (event.kind, event.id) == (kind, id) and call()


async def test_output_is_labelled_and_shown_once(
    pair: Fleet, store: str, id: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each line says which process it is from; in the background, join shows it."""
    await pair.begin(
        "alice",
        "import dp_core as dp\nprint('one\\ntwo', end='')\n"
        f"await dp.durable_promise({id!r})\nprint(' and three')\n40 + 2",
    )
    pid = pair.pids["alice"]
    assert f"alice {pid} │ one\n" in capsys.readouterr().out

    await dp.durable_promise(id, store).resolve()
    late = f"alice {pid} │ two and three\nalice {pid} │ 42\n"
    while "and three" not in pair.said("alice"):  # noqa: ASYNC110 - there is no event
        await asyncio.sleep(0)
    assert "" == capsys.readouterr().out

    await pair.join("alice")
    assert late == capsys.readouterr().out
    await pair.join("alice")
    assert "" == capsys.readouterr().out


async def test_a_process_can_be_restarted_before_the_others_start() -> None:
    """`restart` starts a process alone, also if the fleet has not started."""
    fleet = Fleet("alice", "bob")
    await fleet.restart("alice")
    try:
        assert {"alice"} == fleet.pids.keys()
        assert "2" == (await fleet.run("alice", "1 + 1")).value
    finally:
        await fleet.stop()


async def test_running_a_cell_again_leaves_no_processes(pair: Fleet) -> None:
    """A new fleet of the same names ends the processes of the old one."""
    before = pair.pids
    again = Fleet("bob")
    await again.start()
    try:
        assert gone([before["bob"]])
        assert psutil.pid_exists(before["alice"])
        assert {"alice"} == pair.pids.keys()
    finally:
        await again.stop()


async def test_stop_leaves_nothing(
    store: str, id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After stop there are no processes, files, sockets, or descriptors."""
    descriptors = psutil.Process().num_fds()
    # Sockets have short paths, and pytest's directories do not.
    with TemporaryDirectory(prefix="dp-test-", dir="/tmp") as parent:
        monkeypatch.setattr(tempfile, "tempdir", parent)
        await _start_and_stop(store, id, Path(parent))
    # The first fleet makes the loop's own; a second would add none.
    assert psutil.Process().num_fds() <= descriptors + 8


def names_in(directory: Path) -> list[str]:
    """Return the names of files in a directory."""
    return [path.name for path in directory.iterdir()]


async def _start_and_stop(store: str, id: str, parent: Path) -> None:
    fleet = Fleet("alice", env={"DP_URL": store})
    await fleet.start()
    await fleet.begin(
        "alice", f"import dp_core as dp\nawait dp.durable_promise('{id}')"
    )
    pid = fleet.pids["alice"]
    assert 1 == len(names_in(parent))

    await fleet.stop()

    assert gone([pid])
    assert [] == names_in(parent)


async def test_a_kernel_that_cannot_start_says_why(tmp_path: Path) -> None:
    """A missing package is named in one sentence, with what to install."""
    broken = tmp_path / "ipykernel" / "__init__.py"
    broken.parent.mkdir()
    broken.write_text("import package_that_is_missing\n", encoding="utf-8")
    fleet = Fleet("alice", "bob", env={"PYTHONPATH": str(tmp_path)})

    with pytest.raises(ProcessStartError) as caught:
        await fleet.start()

    assert (
        f"process {caught.value.process} did not start: ModuleNotFoundError: "
        "No module named 'package_that_is_missing'; "
        "notebooks need: pip install 'durable-promises[notebook]'"
    ) == str(caught.value)
    assert {} == fleet.pids


DRIVER = """
import asyncio, sys
import psutil
from dp_core.notebook import Fleet

async def main():
    fleet = Fleet("alice", "bob", "carol")
    starting = asyncio.create_task(fleet.start())
    if sys.argv[1] == "ready":
        await starting
        await fleet.begin("bob", "import asyncio; await asyncio.sleep(3600)")
        await fleet.begin("carol", "import time; time.sleep(3600)")
    else:
        while len(psutil.Process().children()) < 3:
            await asyncio.sleep(0)
    print("now", flush=True)
    await asyncio.sleep(3600)

asyncio.run(main())
"""


@pytest.mark.parametrize("when", ["ready", "starting"])
def test_processes_do_not_outlive_their_notebook(when: str, tmp_path: Path) -> None:
    """
    Kill -9 of the driver ends its kernels: idle, awaiting, busy, or starting.

    Their files go with them.
    """
    command = [sys.executable, "-c", DRIVER, when]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    ) as driver:
        assert driver.stdout is not None
        assert "now\n" in driver.stdout
        children = psutil.Process(driver.pid).children()
        driver.kill()

    assert 3 == len(children)
    assert gone([child.pid for child in children])
    assert [] == [*tmp_path.iterdir()]


def test_names_are_unique() -> None:
    """A fleet without names, or with one name twice, is refused."""
    for names in ((), ("alice", "alice")):
        with pytest.raises(ValueError, match="at least one name, and no name twice"):
            Fleet(*names)


@pytest.mark.parametrize(
    "name",
    [
        *("", "²", "a b", " ", "a\tb", "a\n", "&", "all", "notebook", "x" * 33),
        *("\u202ea", "\x1b[31m", "a\u200b", "\u3164", "\ud800", "a/b", "a'b", "<b>"),
        *("½", "a²", "\u00a0", "a#", "%%on", 5, None, b"a"),
    ],
)
def test_a_name_that_is_not_valid_is_refused(name: str) -> None:
    """It is refused where it is given, and the error shows it and says what is."""
    with pytest.raises(ProcessNameError) as caught:
        Fleet("alice", name)

    assert name == caught.value.process
    assert str(caught.value).startswith("not a valid name of a process: ")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 200
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(caught.value) == str(again)


@pytest.mark.parametrize(
    "name",
    ["a", "p10", "1", "żółw", "太郎", "नमस्ते", "a-b", "a_b", "a.b", "class", "x" * 32],
)
def test_names_are_those_of_any_language(name: str) -> None:
    """Letters and digits of any script, and words that Python reserves."""
    assert (name,) == Fleet(name).names


async def test_output_stays_on_its_line(
    pair: Fleet, capsys: pytest.CaptureFixture[str]
) -> None:
    """A process cannot write over its label, nor over another's line."""
    pid = pair.pids["alice"]
    said = "one\\rbob 1 │ forged\\x1b[1A\\u202e\\x1b[31mred\\x1b[0m"
    result = await pair.run("alice", f"print('{said}')")

    assert "\x1b[1A" in result.text
    shown = "bob 1 │ forged\\u001b[1A\\u202e\x1b[31mred\x1b[0m\n"
    assert f"alice {pid} │ {shown}" == capsys.readouterr().out
