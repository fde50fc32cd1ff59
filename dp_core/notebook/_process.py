"""One named process, through all its lives."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from dp_core.notebook._errors import ProcessBusyError
from dp_core.notebook._job import Job
from dp_core.notebook._journal import JOURNAL, Event, Kind
from dp_core.notebook._kernel import Kernel
from dp_core.notebook._pipes import Pipes
from dp_core.notebook._story import Story

__all__ = ["Process"]


@final
@dataclass(slots=True)
class Process:
    """
    A name, and the kernel that goes by it while there is one.

    Attributes:
        name: The process's name.
        kernel: None while there is none.
        job: What it runs, or ran last.
    """

    name: str
    kernel: Kernel | None = None
    job: Job | None = None

    def __str__(self) -> str:
        return f"{self.name} ({self.kernel.pid})" if self.kernel else self.name

    async def start(self, place: str, pipes: Pipes, env: Mapping[str, str]) -> None:
        """
        Start a life; see `Kernel.start`.

        Raises:
            ProcessStartError: It did not start.
        """
        self.kernel = await Kernel.start(self.name, place, pipes, env)
        JOURNAL.add(Event(self.name, self.kernel.pid, "started"))

    async def end(self, kind: Kind) -> None:
        """Kill the kernel, whatever it does; no error if it is gone already."""
        kernel, self.kernel = self.kernel, None
        if kernel is None:
            return
        await kernel.kill()
        if self.job is not None:
            await asyncio.wait({self.job.task})
        JOURNAL.add(Event(self.name, kernel.pid, kind))
        await kernel.close()

    def check_idle(self) -> None:
        """
        Make sure that it can be given a cell.

        Raises:
            ProcessBusyError: It still runs another.
        """
        if self.busy:
            raise ProcessBusyError(self.name, self.doing)

    def begin(self, code: str, width: int, until: str | None = None) -> Job:
        """Run a cell; see `Job`."""
        assert self.kernel is not None  # noqa: S101 - only running ones are asked
        self.job = Job(self.name, width, self.kernel, code, until)
        return self.job

    @property
    def busy(self) -> bool:
        """Whether a cell is running in it."""
        return self.job is not None and not self.job.task.done()

    @property
    def doing(self) -> str:
        """What it is about, in words."""
        lane = Story(JOURNAL).lanes.get(self.name)
        waits = lane.open_waits if lane else []
        if not waits:
            return "is running"
        return f"waits for {', '.join(repr(wait.begin.id) for wait in waits)}"
