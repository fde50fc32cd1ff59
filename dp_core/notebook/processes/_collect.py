"""`collect`: wait for the cells of several processes, and say so if it takes long."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final

from dp_core.notebook.pictures import LiveOutput, bundle
from dp_core.notebook.processes._cell import CellResult, CellResults
from dp_core.notebook.processes._errors import (
    FleetError,
    ProcessDiedError,
    ProcessFailedError,
)
from dp_core.notebook.processes._process import Process

__all__ = ["collect", "interrupt"]

_QUIET: Final = 0.5
"""Seconds that a cell waits until it says for whom."""

_MANY: Final = 6
"""From how many processes on they are counted, not named."""

_GRACE: Final = 2.0
"""Seconds that an interrupted process may take to report the end."""


async def collect(
    processes: Sequence[Process], catch_up: Callable[[], object], *, check: bool
) -> CellResults:
    """
    Return the results of the cells that run in *processes*.

    Args:
        processes: Those that have no cell are left out.
        catch_up: Called when all cells have ended.
        check: Whether to raise what a cell raised, and the death of a process.

    Raises:
        ProcessFailedError: A cell raised an error.
        ProcessDiedError: A process died, and nobody killed it on purpose.
    """
    cells = {process: process.cell for process in processes if process.cell}
    began, output = time.monotonic(), LiveOutput()
    late = {cell.task for cell in cells.values()}
    while late:
        _, late = await asyncio.wait(late, timeout=_QUIET)
        if late:
            output.show(bundle(_waiting_for(processes)))
    if (took := time.monotonic() - began) > _QUIET:
        names = ", ".join(process.name for process in cells)
        whom = names if len(cells) < _MANY else f"{len(cells)} processes"
        output.show(bundle(f"waited {took:.1f} s for {whom}"))
    catch_up()
    results = CellResults()
    errors = []
    for process, cell in cells.items():
        results[process.name] = result = cell.task.result()
        if (error := await _error(process, result)) is not None:
            errors.append(error)
    if check and errors:
        raise errors[0]
    return results


async def _error(process: Process, result: CellResult) -> FleetError | None:
    """Return the error to raise for a result; a process that we killed is none."""
    if result.error:
        return ProcessFailedError(result.process, result.error, result.traceback)
    if result.died and process.kernel and process.kernel.pid == result.pid:
        await process.end()
        return ProcessDiedError(result.process, result.pid)
    return None


async def interrupt(processes: Sequence[Process]) -> None:
    """Interrupt the cells that run, and wait a while for their end."""
    tasks = set()
    for process in processes:
        if process.kernel and process.cell and process.busy:
            process.kernel.interrupt()
            tasks.add(process.cell.task)
    if tasks:
        await asyncio.wait(tasks, timeout=_GRACE)


def _waiting_for(processes: Sequence[Process]) -> str:
    late = [f"{process}, who {process.doing}" for process in processes if process.busy]
    return f"… waiting for {'; '.join(late)}"
