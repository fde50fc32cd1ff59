"""
Peer processes for a notebook: real kernels with their own pids.

Nothing here holds a block open across cells: ``await fleet.start()`` in one cell
and ``await fleet.stop()`` in another are plain calls. What runs on between cells
are the processes, and what listens to them.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, final

from dp_core.notebook._errors import (
    FleetError,
    ProcessBusyError,
    ProcessDiedError,
    ProcessFailedError,
    UnknownProcessError,
)
from dp_core.notebook._job import Job, Result, Results
from dp_core.notebook._journal import JOURNAL, Event, Kind
from dp_core.notebook._kernel import Kernel
from dp_core.notebook._screen import Screen, bundle, show
from dp_core.notebook._story import Story
from dp_core.notebook._watch import refresh

__all__ = ["Fleet", "fleet_of", "running"]

_PATIENCE: Final = 0.5
"""After how many seconds a cell says for whom it waits."""

_QUIET: Final = 2.0
"""How long `Fleet.begin` gives a process to begin waiting, in seconds."""

_GRACE: Final = 2.0
"""How long an interrupted process may take to say what came of it."""


@final
@dataclass
class _Process:
    name: str
    place: str
    kernel: Kernel | None = None
    job: Job | None = None
    starts: int = 0

    @property
    def shown(self) -> str:
        return f"{self.name} ({self.kernel.pid})" if self.kernel else self.name

    def tell(self, kind: Kind) -> None:
        if self.kernel is not None:
            JOURNAL.add(Event(self.name, self.kernel.pid, kind))


_RUNNING: Final[dict[str, Fleet]] = {}


def running() -> tuple[str, ...]:
    """Return the names of the processes of this notebook."""
    return tuple(_RUNNING)


def fleet_of(name: str) -> Fleet:
    """
    Return the fleet that has a process of that name.

    Raises:
        UnknownProcessError: No fleet has.
    """
    try:
        return _RUNNING[name]
    except KeyError:
        raise UnknownProcessError(name, running()) from None


@final
class Fleet:
    """
    Some processes, each with a name.

    In a notebook a name means one process: a fleet that starts ends the
    processes of the same names that an earlier one has started, so that running
    a cell again leaves no processes behind.

    Args:
        names: The processes' names.
        env: Added to the environment that they inherit.
    """

    def __init__(self, *names: str, env: Mapping[str, str] | None = None) -> None:
        if not names or len(set(names)) < len(names):
            raise ValueError("a fleet needs at least one name, and no name twice")
        self._env = dict(env or {})
        directory = tempfile.mkdtemp(prefix="dp-")
        read, write = os.pipe()
        self._lifeline = read
        self._processes = {
            name: _Process(name, f"{directory}/{i}") for i, name in enumerate(names)
        }
        self._width = max(map(len, names))
        self._release = weakref.finalize(self, _release, directory, read, write)

    def __repr__(self) -> str:
        shown = ", ".join(process.shown for process in self._processes.values())
        return f"<Fleet {shown}>"

    @property
    def names(self) -> tuple[str, ...]:
        """The processes' names."""
        return tuple(self._processes)

    @property
    def pids(self) -> dict[str, int]:
        """``{name: pid}`` of the processes that are there."""
        return {
            process.name: process.kernel.pid
            for process in self._processes.values()
            if process.kernel is not None
        }

    # Life -------------------------------------------------------------------

    async def start(self) -> None:
        """
        Start all processes at once, and return when all are ready.

        Raises:
            ProcessStartError: One did not start; the others are ended.
        """
        for other in {_RUNNING[name] for name in self.names if name in _RUNNING}:
            await other.stop(*(set(other.names) & set(self.names)))
        begun, screen = time.monotonic(), Screen()
        screen.show(bundle(f"starting {', '.join(self.names)} …"))
        try:
            await asyncio.gather(*map(self._launch, self._processes.values()))
        except BaseException:
            await asyncio.shield(self.stop())
            raise
        there = "  ".join(f"▷ {name} {pid}" for name, pid in self.pids.items())
        screen.show(bundle(f"{there}  (after {time.monotonic() - begun:.1f} s)"))

    async def restart(self, name: str) -> None:
        """
        Start a process again; one that is still there is killed first.

        Raises:
            ProcessStartError: It did not start.
        """
        process = self._process(name)
        if process.kernel is not None:
            await self.kill(name)
        await self._launch(process)
        show(bundle(f"▷ {process.shown} starts"))

    async def kill(self, name: str) -> None:
        """Kill a process with ``kill -9``, whatever it does."""
        process = self._there(name)
        shown = process.shown
        await self._bury(process, "killed")
        refresh()
        show(bundle(f"☠ {shown} killed with signal 9"))

    def interrupt(self, name: str) -> None:
        """Do in a process what the Stop button does in the notebook."""
        process = self._there(name)
        assert process.kernel is not None  # noqa: S101 - it is there
        process.kernel.interrupt()

    async def stop(self, *names: str) -> None:
        """End these processes, or all."""
        ending = [self._process(name) for name in names or self.names]
        await asyncio.gather(*(self._bury(process, "stopped") for process in ending))
        for process in ending:
            if _RUNNING.get(process.name) is self:
                del _RUNNING[process.name]
        if not self.pids:
            self._release()

    # Work -------------------------------------------------------------------

    async def run(self, name: str, code: str, *, check: bool = True) -> Result:
        """
        Run a cell in one process, to its end.

        Args:
            name: The process's name.
            code: The cell.
            check: Whether an error in the process is one here.

        Raises:
            ProcessFailedError: The cell raised an error.
            ProcessDiedError: The process died meanwhile.
            ProcessBusyError: It still runs another.
            UnknownProcessError: There is no process of that name.
        """
        return (await self.run_each({name: code}, check=check))[name]

    async def run_all(self, code: str, *, check: bool = True) -> Results:
        """Run one cell in all processes at once; see `run`."""
        return await self.run_each(dict.fromkeys(self.names, code), check=check)

    async def run_each(
        self, codes: Mapping[str, str], *, check: bool = True
    ) -> Results:
        """Run ``{name: cell}`` at once, each in its process; see `run`."""
        processes = [self._idle(name) for name in codes]
        for process in processes:
            self._begin(process, codes[process.name])
        try:
            return await self._finish(processes, check=check)
        except asyncio.CancelledError:
            await self._interrupt(processes)
            raise

    async def begin(self, name: str, code: str) -> None:
        """
        Run a cell in the background.

        Returns as soon as the process waits for a promise, or has ended, or
        has been busy for a while. `join` waits for its end.
        """
        process = self._idle(name)
        job = self._begin(process, code)
        quiet = asyncio.ensure_future(job.waiting.wait())
        try:
            await asyncio.wait(
                {job.task, quiet},
                timeout=_QUIET,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            quiet.cancel()
        job.let_go()
        if not job.task.done():
            show(bundle(f"… {process.shown} {self._doing(process)}, in the background"))

    async def join(self, *names: str, check: bool = True) -> Results:
        """
        Wait for what `begin` began, and show what it said since then.

        Stopped, it leaves the processes alone.
        """
        named = [self._process(name) for name in names or self.names]
        processes = [process for process in named if process.job is not None]
        try:
            return await self._finish(processes, check=check)
        finally:
            for process in processes:
                if process.job is not None and process.job.task.done():
                    process.job.replay()

    # Inside -----------------------------------------------------------------

    async def _launch(self, process: _Process) -> None:
        process.starts += 1
        place = f"{process.place}-{process.starts}"
        process.kernel = await Kernel.start(
            process.name, place, self._lifeline, self._env
        )
        _RUNNING[process.name] = self
        process.tell("started")

    async def _bury(self, process: _Process, kind: Kind) -> None:
        """Make an end of a process, whatever it does; no error if it is gone."""
        kernel, process.kernel = process.kernel, None
        if kernel is None:
            return
        await kernel.kill()
        if process.job is not None:
            await asyncio.wait({process.job.task})
        JOURNAL.add(Event(process.name, kernel.pid, kind))
        await kernel.close()

    def _begin(self, process: _Process, code: str) -> Job:
        assert process.kernel is not None  # noqa: S101 - it is idle
        process.job = Job(process.name, self._width, process.kernel, code)
        return process.job

    async def _finish(self, processes: list[_Process], *, check: bool) -> Results:
        """Wait, and say for whom if it takes longer; return or raise what came."""
        jobs = {process.name: process.job for process in processes if process.job}
        tasks = {job.task for job in jobs.values()}
        begun, screen = time.monotonic(), Screen()
        late = tasks
        while late:
            _, late = await asyncio.wait(late, timeout=_PATIENCE)
            if late:
                screen.show(bundle(self._whom(processes)))
        if (took := time.monotonic() - begun) > _PATIENCE:
            screen.show(bundle(f"waited {took:.1f} s for {', '.join(jobs)}"))
        refresh()
        results = Results((name, job.task.result()) for name, job in jobs.items())
        errors = [
            error
            for result in results.values()
            if (error := await self._error(result)) is not None
        ]
        if check and errors:
            raise errors[0]
        return results

    async def _error(self, result: Result) -> FleetError | None:
        """Return what is to be raised for a result; a process we killed is no error."""
        process = self._processes[result.process]
        if result.error:
            return ProcessFailedError(result.process, result.error, result.traceback)
        if result.died and process.kernel and process.kernel.pid == result.pid:
            await self._bury(process, "killed")
            return ProcessDiedError(result.process, result.pid)
        return None

    def _whom(self, processes: list[_Process]) -> str:
        late = [
            f"{process.shown}, who {self._doing(process)}"
            for process in processes
            if process.job and not process.job.task.done()
        ]
        return f"… waiting for {'; '.join(late)}"

    def _doing(self, process: _Process) -> str:
        lane = Story(JOURNAL).lanes.get(process.name)
        waits = lane.open_waits if lane else []
        if not waits:
            return "is running"
        return f"waits for {', '.join(repr(wait.begin.id) for wait in waits)}"

    async def _interrupt(self, processes: list[_Process]) -> None:
        tasks = set()
        for process in processes:
            if process.kernel and process.job and not process.job.task.done():
                process.kernel.interrupt()
                tasks.add(process.job.task)
        if tasks:
            await asyncio.wait(tasks, timeout=_GRACE)

    def _process(self, name: str) -> _Process:
        try:
            return self._processes[name]
        except KeyError:
            raise UnknownProcessError(name, self.names) from None

    def _there(self, name: str) -> _Process:
        process = self._process(name)
        if process.kernel is None:
            raise UnknownProcessError(name, tuple(self.pids))
        return process

    def _idle(self, name: str) -> _Process:
        process = self._there(name)
        if process.job is not None and not process.job.task.done():
            raise ProcessBusyError(name, self._doing(process))
        return process


def _release(directory: str, *descriptors: int) -> None:
    # The processes see the end of their lifeline, and end too.
    for descriptor in descriptors:
        os.close(descriptor)
    shutil.rmtree(directory, ignore_errors=True)
