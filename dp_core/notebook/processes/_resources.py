"""`FleetResources`: the directory and the pipes of a fleet, given back in any case."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from itertools import count
from typing import final

from dp_core.notebook._journal import JOURNAL
from dp_core.notebook.processes._pipes import Pipes

__all__ = ["FleetResources"]


@final
class FleetResources:
    """
    A temporary directory for sockets, and the pipes to the processes.

    Attributes:
        pipes: Their events go to the journal.
        release: Gives both back; called by the garbage collector if by nobody else.
    """

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
