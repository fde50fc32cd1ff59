"""
Peer processes for a notebook: real kernels with their own pids.

Nothing here holds a block open across cells: ``await fleet.start()`` in one cell
and ``await fleet.stop()`` in another are plain calls. What runs on between cells
are the processes, and what listens to them.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
import weakref
from collections.abc import Mapping
from itertools import count
from typing import Final, final

from dp_core.notebook._errors import (
    FleetError,
    ProcessDiedError,
    ProcessFailedError,
    UnknownProcessError,
)
from dp_core.notebook._job import Result, Results
from dp_core.notebook._journal import JOURNAL
from dp_core.notebook._pipes import Pipes
from dp_core.notebook._process import Process
from dp_core.notebook._screen import Screen, bundle, show
from dp_core.notebook._watch import refresh

__all__ = ["Fleet", "fleet_of", "running"]

_PATIENCE: Final = 0.5
"""After how many seconds a cell says for whom it waits."""

_QUIET: Final = 2.0
"""How long `Fleet.begin` gives a process to begin waiting, in seconds."""

_MANY: Final = 6
"""From how many processes on they are counted, not named."""

_GRACE: Final = 2.0
"""How long an interrupted process may take to say what came of it."""


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
        self._width = max(map(len, names))
        self._processes = {name: Process(name) for name in names}
        self._resources: _Resources | None = None

    def __repr__(self) -> str:
        shown = ", ".join(map(str, self._processes.values()))
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
        if self._resources is None:
            self._resources = _Resources()
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
        show(bundle(f"▷ {process} starts"))

    async def kill(self, name: str) -> None:
        """Kill a process with ``kill -9``, whatever it does."""
        process = self._there(name)
        shown = str(process)
        await process.end("killed")
        self._catch_up()
        show(bundle(f"☠ {shown} killed with signal 9"))

    def interrupt(self, name: str) -> None:
        """Do in a process what the Stop button does in the notebook."""
        process = self._there(name)
        assert process.kernel is not None  # noqa: S101 - it is there
        process.kernel.interrupt()

    async def stop(self, *names: str) -> None:
        """End these processes, or all."""
        ending = [self._process(name) for name in names or self.names]
        await asyncio.gather(*(process.end("stopped") for process in ending))
        for process in ending:
            if _RUNNING.get(process.name) is self:
                del _RUNNING[process.name]
        if self._resources is not None and not self.pids:
            self._resources.release()
            self._resources = None

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
            process.begin(codes[process.name], self._width)
        try:
            return await self._finish(processes, check=check)
        except asyncio.CancelledError:
            await self._interrupt(processes)
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
        process = self._idle(name)
        job = process.begin(code, self._width, until)
        quiet = asyncio.ensure_future(job.quiet.wait())
        try:
            await asyncio.wait(
                {job.task, quiet},
                timeout=_QUIET if until is None else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            quiet.cancel()
        job.let_go()
        if not job.task.done():
            show(bundle(f"… {process} {process.doing}, in the background"))

    def said(self, name: str) -> str:
        """Return what a process has printed in its cell so far."""
        job = self._process(name).job
        return job.text if job is not None else ""

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
                if process.job is not None and not process.busy:
                    process.job.replay()

    # Inside -----------------------------------------------------------------

    async def _launch(self, process: Process) -> None:
        resources = self._resources
        assert resources is not None  # noqa: S101 - made by start()
        place = resources.new_place()
        await process.start(place, resources.pipes, self._env)
        _RUNNING[process.name] = self

    def _catch_up(self) -> None:
        """Take in what was reported, and bring what is shown up to date."""
        if self._resources is not None:
            self._resources.pipes.drain(JOURNAL.add)
        refresh()

    async def _finish(self, processes: list[Process], *, check: bool) -> Results:
        """Wait, and say for whom if it takes longer; return or raise what came."""
        jobs = {process.name: process.job for process in processes if process.job}
        tasks = {job.task for job in jobs.values()}
        begun, screen = time.monotonic(), Screen()
        late = tasks
        while late:
            _, late = await asyncio.wait(late, timeout=_PATIENCE)
            if late:
                screen.show(bundle(_whom(processes)))
        if (took := time.monotonic() - begun) > _PATIENCE:
            whom = ", ".join(jobs) if len(jobs) < _MANY else f"{len(jobs)} processes"
            screen.show(bundle(f"waited {took:.1f} s for {whom}"))
        self._catch_up()
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
            await process.end("killed")
            return ProcessDiedError(result.process, result.pid)
        return None

    async def _interrupt(self, processes: list[Process]) -> None:
        tasks = set()
        for process in processes:
            if process.kernel and process.job and process.busy:
                process.kernel.interrupt()
                tasks.add(process.job.task)
        if tasks:
            await asyncio.wait(tasks, timeout=_GRACE)

    def _process(self, name: str) -> Process:
        try:
            return self._processes[name]
        except KeyError:
            raise UnknownProcessError(name, self.names) from None

    def _there(self, name: str) -> Process:
        process = self._process(name)
        if process.kernel is None:
            raise UnknownProcessError(name, tuple(self.pids))
        return process

    def _idle(self, name: str) -> Process:
        process = self._there(name)
        process.check_idle()
        return process


def _whom(processes: list[Process]) -> str:
    late = [f"{process}, who {process.doing}" for process in processes if process.busy]
    return f"… waiting for {'; '.join(late)}"


@final
class _Resources:
    """What a fleet holds besides its processes; given back in any case."""

    def __init__(self) -> None:
        self._directory = tempfile.mkdtemp(prefix="dp-")
        self.pipes = Pipes(self._directory)
        self.pipes.listen(JOURNAL.add)
        self._count = count()
        self.release = weakref.finalize(self, _release, self._directory, self.pipes)

    def new_place(self) -> str:
        """Return a path for the files of one process."""
        return f"{self._directory}/{next(self._count)}"


def _release(directory: str, pipes: Pipes) -> None:
    pipes.close()
    shutil.rmtree(directory, ignore_errors=True)
