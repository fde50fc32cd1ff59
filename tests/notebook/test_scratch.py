"""``%scratch``: a run leaves no trace, however its kernel ends."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Final

import pytest

from support.notebook.kernels import Notebook

LOAD: Final = """
%load_ext dp_core.notebook
%scratch
import os
print(os.getcwd())
"""
SECONDS: Final = 60


def files(path: Path) -> list[Path]:
    """Return what is in a directory, at any depth."""
    return [*path.rglob("*")]


def gone(path: Path) -> bool:
    """Tell whether a directory is removed by somebody."""
    deadline = time.monotonic() + SECONDS
    while path.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    return not path.exists()


@pytest.mark.parametrize("end", ["kill", "restart", "exit", "stop"])
async def test_nothing_is_left(end: str, tmp_path: Path) -> None:
    """
    The directory goes with its kernel: killed, restarted, ended, or stopped before.

    So does what a process of the notebook wrote, which ends at the same moment.
    """
    async with Notebook.open(tmp_path, {"DP_URL": ""}) as opened:
        cell = await opened.run(LOAD)
        place = Path(cell.text.strip().split("\n")[-1])
        await opened.run(
            "from dp_core.notebook import Fleet\nfleet = Fleet('alice')\n"
            "await fleet.start()"
        )
        await opened.run(
            "%%on alice\nimport dp_core as dp\nawait dp.durable_promise('x').resolve(1)"
        )
        assert any("promises" in path.parts for path in files(place))
        if end == "stop":
            task, _ = await opened.run_until(
                "print('waiting', flush=True)\n"
                "import dp_core as dp\nawait dp.durable_promise('y')",
                "waits for",
            )
            opened.press_stop()
            await task
            assert files(place)
        if end == "kill":
            os.kill(opened.pid, signal.SIGKILL)
            assert gone(place)
        if end == "restart":
            await opened.manager.restart_kernel(now=True)
            assert gone(place)

    assert gone(place)
    assert [] == files(tmp_path)


async def test_again_it_is_the_same(tmp_path: Path) -> None:
    """Run again, it goes back to the same directory, and says so if that is gone."""
    async with Notebook.open(tmp_path, {}) as opened:
        first = await opened.run(LOAD)
        again = await opened.run("os.chdir('/')\n%scratch\nprint(os.getcwd())")
        await opened.run("import shutil; shutil.rmtree(os.getcwd())")
        lost = await opened.run("%scratch")
        fresh = await opened.run("%scratch\nprint(os.getcwd())")
        place = Path(fresh.text.strip().split("\n")[-1])
        assert "True" in (await opened.run("os.path.isdir('.')")).text

    assert first.text == again.text
    assert "temporary directory is gone; run this again" in lost.error
    assert first.text != fresh.text
    assert gone(place)


async def test_no_place_for_it(tmp_path: Path) -> None:
    """Where no directory can be made, the error says so, and nothing changes."""
    async with Notebook.open(tmp_path, {}) as opened:
        await opened.run("import tempfile; tempfile.tempdir = '/nowhere/at/all'")
        cell = await opened.run(LOAD)
        here = await opened.run("import os; os.getcwd()")

    assert cell.error.startswith("FleetError: there is no temporary directory: ")
    assert str(tmp_path) in here.text
