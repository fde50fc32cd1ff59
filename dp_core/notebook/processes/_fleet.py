"""
`Fleet`: named processes for a notebook, each a real kernel with its own pid.

Nothing here holds a block open across cells: ``await fleet.start()`` in one cell
and ``await fleet.stop()`` in another are plain calls. Between cells, only the
processes run, and the reader of their reports.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Final, final

from dp_core.notebook._journal import JOURNAL
from dp_core.notebook.pictures import LiveOutput, bundle, refresh, show
from dp_core.notebook.processes._cell import CellResult, CellResults
from dp_core.notebook.processes._collect import collect, interrupt
from dp_core.notebook.processes._errors import UnknownProcessError
from dp_core.notebook.processes._kernel import Kernel
from dp_core.notebook.processes._process import Process, check_name
from dp_core.notebook.processes._resources import FleetResources, room_for
from dp_core.notebook.processes._variables import assignment

__all__ = ["Fleet", "fleet_of", "running"]

_BEGIN: Final = 2.0
"""Seconds that `Fleet.begin` waits for a process to begin waiting."""

_RUNNING: Final[dict[str, Fleet]] = {}


def running() -> tuple[str, ...]:
    """Return the names of the processes of this notebook."""
    return tuple(_RUNNING)


def fleet_of(name: str) -> Fleet:
    """
    Return the fleet that has a process of that name.

    Raises:
        UnknownProcessError: There is none.
    """
    try:
        return _RUNNING[name]
    except KeyError:
        raise UnknownProcessError(name, running()) from None


@final
class Fleet:
    """
    Named processes, started and stopped together.

    In a notebook a name means one process: a fleet that starts ends the
    processes of the same names that an earlier one has started, so that running
    a cell again leaves no processes behind.

    Args:
        names: The processes' names.
        env: Added to the environment that they inherit.

    Raises:
        ProcessNameError: A name is not valid.
        ValueError: There is no name, or one twice.
    """

    def __init__(self, *names: str, env: Mapping[str, str] | None = None) -> None:
        for name in names:
            check_name(name)
        if not names or len(set(names)) < len(names):
            raise ValueError("a fleet needs at least one name, and no name twice")
        self._env = dict(env or {})
        self._width = max(map(len, names))
        self._processes = {name: Process(name) for name in names}
        self._resources: FleetResources | None = None

    def __repr__(self) -> str:
        shown = ", ".join(map(str, self._processes.values()))
        return f"<Fleet {shown}>"

    @property
    def names(self) -> tuple[str, ...]:
        """The processes' names."""
        return tuple(self._processes)

    @property
    def pids(self) -> dict[str, int]:
        """``{name: pid}`` of the running processes."""
        return {
            process.name: process.kernel.pid
            for process in self._processes.values()
            if process.kernel is not None and not process.kernel.end.done()
        }

    # Life -------------------------------------------------------------------

    async def start(self) -> None:
        """
        Start all processes at once, and return when all are ready.

        Raises:
            ProcessStartError: One did not start; the others are ended.
            FleetError: There are too few open files left, or no place for sockets;
                none was started.
        """
        for other in {_RUNNING[name] for name in self.names if name in _RUNNING}:
            await other.stop(*(set(other.names) & set(self.names)))
        began, output = time.monotonic(), LiveOutput()
        output.show(bundle(f"starting {', '.join(self.names)} …"))
        with room_for(len(self.names)):
            launches = [
                asyncio.create_task(self._launch(process))
                for process in self._processes.values()
            ]
            try:
                await asyncio.gather(*launches)
            except BaseException:
                await asyncio.shield(self._undo(launches))
                raise
        there = "  ".join(f"▷ {name} {pid}" for name, pid in self.pids.items())
        output.show(bundle(f"{there}  (after {time.monotonic() - began:.1f} s)"))

    async def restart(self, name: str) -> None:
        """
        Start a process again; one that still runs is killed first.

        Raises:
            ProcessStartError: It did not start.
        """
        process = self._process(name)
        if name in self.pids:
            await self.kill(name)
        await process.end()
        with room_for(1):
            try:
                await self._launch(process)
            finally:
                self._release_if_over()
        show(bundle(f"▷ {process} starts"))

    async def kill(self, name: str) -> None:
        """Kill a process with ``kill -9``, whatever it does."""
        kernel = self._kernel(name)
        gone = kernel.end.done()
        await self._process(name).end()
        self._catch_up()
        how = f"was gone ({kernel.end.result()})" if gone else "killed with signal 9"
        show(bundle(f"☠ {name} ({kernel.pid}) {how}"))

    def interrupt(self, name: str) -> None:
        """Do in a process what the Stop button does in the notebook."""
        self._kernel(name).interrupt()

    async def stop(self, *names: str) -> None:
        """End these processes, or all."""
        ending = [self._process(name) for name in names or self.names]
        await asyncio.gather(*(process.end(stopped=True) for process in ending))
        for process in ending:
            if _RUNNING.get(process.name) is self:
                del _RUNNING[process.name]
        self._release_if_over()

    def _release_if_over(self) -> None:
        kernels = [process.kernel for process in self._processes.values()]
        if self._resources is not None and not any(kernels):
            self._resources.release()
            self._resources = None

    async def _undo(self, launches: Sequence[asyncio.Task[None]]) -> None:
        """End what has begun to start, and what has started."""
        for launch in launches:
            launch.cancel()
        await asyncio.wait(launches)
        await self.stop()

    # Work -------------------------------------------------------------------

    async def assign(self, variables: Mapping[str, object], *names: str) -> None:
        """
        Set variables in these processes, or in all; ``%%on … --with`` calls it.

        Args:
            variables: Their names and values. A value travels as JSON, so that a
                tuple arrives as a list.
            names: The processes' names.

        Raises:
            VariableError: A value is none that JSON can hold; nothing was sent.
            ProcessDiedError: A process died meanwhile.
            ProcessBusyError: One runs a cell.
            UnknownProcessError: There is no process of that name.
        """
        code = assignment(variables)
        idle = [self._idle(name) for name in names or self.names]
        await asyncio.gather(
            *(process.prepare(kernel, code) for process, kernel in idle)
        )

    async def run(self, name: str, code: str, *, check: bool = True) -> CellResult:
        """
        Run a cell in one process, to its end, and return its result.

        Args:
            name: The process's name.
            code: The cell.
            check: Whether to raise an error for one of the cell.

        Raises:
            ProcessFailedError: The cell raised an error.
            ProcessDiedError: The process died meanwhile.
            ProcessBusyError: It still runs another.
            UnknownProcessError: There is no process of that name.
        """
        return (await self.run_each({name: code}, check=check))[name]

    async def run_all(self, code: str, *, check: bool = True) -> CellResults:
        """Run one cell in all processes at once; see `run`."""
        return await self.run_each(dict.fromkeys(self.names, code), check=check)

    async def run_each(
        self, codes: Mapping[str, str], *, check: bool = True
    ) -> CellResults:
        """Run ``{name: cell}`` at once, each in its process; see `run`."""
        idle = [self._idle(name) for name in codes]
        for process, kernel in idle:
            process.begin(kernel, codes[process.name], self._width)
        processes = [process for process, _ in idle]
        try:
            return await self._collect(processes, check=check)
        except asyncio.CancelledError:
            await interrupt(processes)
            raise

    async def begin(self, name: str, code: str, until: str | None = None) -> None:
        """
        Run a cell in the background.

        Returns as soon as the process waits for a promise, or has ended, or has
        been busy for a while. `join` waits for its end.

        Args:
            name: The process's name.
            code: The cell.
            until: Return as soon as it has printed this text instead.

        Raises:
            ProcessBusyError: It still runs another.
            UnknownProcessError: There is no process of that name.
        """
        process, kernel = self._idle(name)
        cell = process.begin(kernel, code, self._width, until)
        quiet = asyncio.ensure_future(cell.quiet.wait())
        try:
            await asyncio.wait(
                {cell.task, quiet},
                timeout=_BEGIN if until is None else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            quiet.cancel()
        cell.let_go()
        # It waits, so that it has reported for what.
        self._catch_up()
        if not cell.task.done():
            show(bundle(f"… {process} {process.doing}, in the background"))

    def said(self, name: str) -> str:
        """Return the text that a process has printed in its cell so far."""
        cell = self._process(name).cell
        return cell.text if cell is not None else ""

    async def join(self, *names: str, check: bool = True) -> CellResults:
        """
        Wait for the cells that `begin` began, and show their output since then.

        `begin` lets go of a cell, and its lines are kept: they are shown once, where
        somebody asks for them, and `said` has them before. Cancelled, it leaves the
        processes alone.
        """
        named = [self._process(name) for name in names or self.names]
        try:
            return await self._collect(named, check=check)
        finally:
            for process in named:
                if process.cell is not None and not process.busy:
                    process.cell.catch_up()

    # Inside -----------------------------------------------------------------

    async def _launch(self, process: Process) -> None:
        if self._resources is None:
            self._resources = FleetResources()
        await process.start(self._resources, self._env)
        _RUNNING[process.name] = self

    async def _collect(
        self, processes: Sequence[Process], *, check: bool
    ) -> CellResults:
        return await collect(processes, self._catch_up, check=check)

    def _catch_up(self) -> None:
        """Take in all reports up to now, and bring what is shown up to date."""
        if self._resources is not None:
            self._resources.pipes.drain(JOURNAL.add)
        refresh()

    def _process(self, name: str) -> Process:
        try:
            return self._processes[name]
        except KeyError:
            raise UnknownProcessError(name, self.names) from None

    def _kernel(self, name: str) -> Kernel:
        kernel = self._process(name).kernel
        if kernel is None:
            raise UnknownProcessError(name, tuple(self.pids))
        return kernel

    def _idle(self, name: str) -> tuple[Process, Kernel]:
        process, kernel = self._process(name), self._kernel(name)
        process.check_idle()
        return process, kernel
