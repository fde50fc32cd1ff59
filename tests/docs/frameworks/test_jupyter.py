"""The notebook of ordinary cells, in real kernels that have nothing of ours loaded."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread
import nbformat
import pytest

import dp_core as dp
from support.docs.documents import blocks
from support.docs.programs import FRAMEWORKS, python
from support.notebook.kernels import Notebook

NAME: Final = "wait_in_a_notebook.ipynb"
ASK, WAIT = (
    cell.source
    for cell in nbformat.read(FRAMEWORKS / NAME, as_version=4).cells
    if cell.cell_type == "code"
)


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio alone: jupyter_client knows no other."""
    return "asyncio"


def test_the_page_shows_the_cells() -> None:
    """The cells of the notebook are the code of the page."""
    page = blocks("docs/how-to/frameworks/jupyter.md")

    assert [f"{ASK}\n", f"{WAIT}\n"] == [
        block.text for block in page if block.language == "python"
    ]


async def test_a_kernel_that_was_killed_gets_its_answer(tmp_path: Path) -> None:
    """The answer comes while no kernel runs; the next one has it, by the same cells."""
    async with Notebook.open(tmp_path, {}) as killed:
        asked = await killed.run(ASK)
        waiting, _ = await killed.run_until(f"print('waits')\n{WAIT}", "waits")
        os.kill(killed.pid, signal.SIGKILL)
        waiting.cancel()
    async with dp.connect(f"file:{tmp_path}/promises") as promises:
        await promises.promise("approve-17").resolve("yes")
    async with Notebook.open(tmp_path, {}) as again:
        cells = [await again.run(ASK), await again.run(WAIT)]

    assert "Pending()\n" == asked.text
    assert ["Resolved(value='yes')\n", "'yes'\n"] == [cell.text for cell in cells]
    assert ["", ""] == [cell.error for cell in cells]


async def test_cells_run_on_beside_shells(tmp_path: Path) -> None:
    """Stop ends the wait and changes nothing; the cell, run again, is woken by dp."""
    url = f"file:{tmp_path}/promises"
    async with Notebook.open(tmp_path, {}) as kernel:
        await kernel.run(ASK)
        waiting, stopped = await kernel.run_until(f"print('waits')\n{WAIT}", "waits")
        kernel.press_stop()
        await waiting
        waiting, cell = await kernel.run_until(f"print('waits')\n{WAIT}", "waits")
        resolve = ("-m", "dp_core", "resolve", "approve-17", "yes", "--url", url)
        settled = await anyio.to_thread.run_sync(
            partial(python, *resolve, cwd=tmp_path)
        )
        await waiting

    assert stopped.error.startswith(("CancelledError", "KeyboardInterrupt"))
    assert (0, "yes\n") == settled
    assert "waits\n'yes'\n" == cell.text
