"""`Process`: one name, and the kernel that has it while there is one."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, final

from dp_core._text import visible
from dp_core.notebook._journal import JOURNAL, NOTEBOOK, JournalEvent, Kind
from dp_core.notebook.pictures import Timeline, several
from dp_core.notebook.processes._cell import RemoteCell
from dp_core.notebook.processes._end_watch import ProcessEnd
from dp_core.notebook.processes._errors import (
    ProcessBusyError,
    ProcessDiedError,
    ProcessFailedError,
    ProcessNameError,
)
from dp_core.notebook.processes._kernel import Kernel
from dp_core.notebook.processes._resources import FleetResources

__all__ = ["Process", "check_name"]

_LONGEST: Final = 32

# "%%on all" means every process, "&" goes on without waiting, and lanes and boards
# call the notebook's own process so.
_RESERVED: Final = ("all", NOTEBOOK)


def check_name(name: object) -> None:
    """
    Check the name of a process, which is typed behind ``%%on`` and shown in pictures.

    Raises:
        ProcessNameError: It is not a string of letters, digits, "_", "-" and ".", or
            too long, or a word that means something else.
    """
    if not isinstance(name, str):
        raise ProcessNameError(name, "it is not a string")
    if len(name) > _LONGEST:
        raise ProcessNameError(name, f"it has more than {_LONGEST} characters")
    letters = name.replace("-", "_").replace(".", "_")
    if not name or not f"_{letters}".isidentifier() or visible(name) != name:
        raise ProcessNameError(name, 'write letters, digits, "_", "-" and "."')
    if name in _RESERVED:
        raise ProcessNameError(name, "it means something else; write another")


@final
@dataclass(slots=True, eq=False)
class Process:
    """
    A named process that may die and be started again.

    Attributes:
        name: The process's name.
        kernel: The running kernel; None while there is none.
        cell: The cell that it runs, or ran last.
    """

    name: str
    kernel: Kernel | None = None
    cell: RemoteCell | None = None
    _stopping: bool = False

    def __str__(self) -> str:
        return f"{self.name} ({self.kernel.pid})" if self.kernel else self.name

    async def start(self, resources: FleetResources, env: Mapping[str, str]) -> None:
        """
        Start a kernel; see `Kernel.start`.

        Raises:
            ProcessStartError: It did not start.
        """
        self.kernel = await Kernel.start(self.name, resources, env, self._report)

    def _report(self, kernel: Kernel) -> None:
        """Put into the journal that there is a process, and its end when it comes."""
        JOURNAL.add(JournalEvent(self.name, kernel.pid, "started"))
        self._stopping = False

        def ended(end: asyncio.Future[ProcessEnd]) -> None:
            if not end.cancelled():
                JOURNAL.add(self._end_event(kernel.pid, end.result()))

        kernel.end.add_done_callback(ended)

    def _end_event(self, pid: int, end: ProcessEnd) -> JournalEvent:
        kind: Kind = "killed" if end.by_signal else "ended"
        if self._stopping and end.status == -signal.SIGKILL:
            return JournalEvent(self.name, pid, "stopped", at=end.at)
        return JournalEvent(self.name, pid, kind, text=str(end), at=end.at)

    async def end(self, *, stopped: bool = False) -> None:
        """
        Kill the kernel, whatever it does; no error if there is none.

        Args:
            stopped: Whether the fleet ends it, because it is not needed any more.
        """
        kernel, self.kernel = self.kernel, None
        if kernel is None:
            return
        self._stopping = stopped
        await kernel.kill()
        if self.cell is not None:
            await asyncio.wait({self.cell.task})
        await kernel.close()

    def check_idle(self) -> None:
        """
        Make sure that it can run a cell.

        Raises:
            ProcessBusyError: It still runs another.
        """
        if self.busy:
            raise ProcessBusyError(self.name, self.doing)

    def begin(
        self, kernel: Kernel, code: str, width: int, until: str | None = None
    ) -> RemoteCell:
        """Run a cell in its kernel; see `RemoteCell`."""
        self.cell = RemoteCell(self.name, width, kernel, code, until)
        return self.cell

    async def prepare(self, kernel: Kernel, code: str) -> None:
        """
        Run code of ours, which says nothing, before a cell of the reader's.

        Raises:
            ProcessDiedError: The process died meanwhile.
        """
        reply = await kernel.run(code, lambda message: None)
        if reply.died:
            raise ProcessDiedError(self.name, kernel.pid)
        if reply.error:
            raise ProcessFailedError(self.name, reply.error, reply.traceback)

    @property
    def busy(self) -> bool:
        """Whether it runs a cell."""
        return self.cell is not None and not self.cell.task.done()

    @property
    def doing(self) -> str:
        """Its activity, in words that follow its name."""
        track = Timeline(JOURNAL).tracks.get(self.name)
        waits = track.open_waits if track else []
        if not waits:
            return "is running"
        return f"waits for {several(wait.begin.id for wait in waits)}"
