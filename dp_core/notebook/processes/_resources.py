"""
`FleetResources`: what the processes of a fleet share, given back in any case.

A notebook may have so many files open, and the library of sockets ends the whole
notebook when it can open no more. So `room_for` counts before processes start.
"""

from __future__ import annotations

import resource
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Final, final

import zmq.asyncio

from dp_core.notebook._journal import JOURNAL
from dp_core.notebook.processes._errors import FleetError
from dp_core.notebook.processes._pipes import Pipes

__all__ = ["FleetResources", "room_for"]

# Open files in the notebook. A process has three sockets, of two files each, and two
# files more while it starts; a fleet has its pipes and what its sockets share.
_PROCESS: Final = 8
_FLEET: Final = 16
_SPARE: Final = 32
"""Open files left to the notebook itself: stores, modules, programs."""

_starting = 0


@contextmanager
def room_for(processes: int) -> Iterator[None]:
    """
    Reserve open files for processes that start in the block.

    Raises:
        FleetError: There are not enough; none has been opened.
    """
    global _starting  # noqa: PLW0603 - fleets of one notebook may start at once
    needed = processes * _PROCESS + _FLEET
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        used = len(list(Path("/dev/fd").iterdir())) + _starting
    except OSError:
        used = limit  # There is none left to look with.
    if limit != resource.RLIM_INFINITY and used + needed + _SPARE > limit:
        raise FleetError(
            f"{processes} processes need {needed} open files, and this notebook has "
            f"{used} of the {limit:,} that it may have; start fewer, stop others, or "
            f"enter `ulimit -n {used + 2 * needed + 1024}` before you start Jupyter"
        )
    _starting += needed
    try:
        yield
    finally:
        _starting -= needed


@final
class FleetResources:
    """
    A temporary directory, the pipes to the processes, and what their sockets share.

    Attributes:
        pipes: Their events go to the journal.
        context: Threads and files of sockets; one for all, because each has ten.
        release: Gives all back; called by the garbage collector if by nobody else.
    """

    def __init__(self) -> None:
        with ExitStack() as begun:
            try:
                self._directory = tempfile.mkdtemp(prefix="dp-")
                begun.callback(shutil.rmtree, self._directory, ignore_errors=True)
                self.context = zmq.asyncio.Context()
                begun.callback(self.context.destroy, linger=0)
                self.pipes = Pipes(self._directory)
                begun.callback(self.pipes.close)
            except (OSError, zmq.ZMQError) as error:
                raise FleetError(f"processes cannot be started: {error}") from None
            self.release = weakref.finalize(self, begun.pop_all().close)
        self._count = count()
        self.pipes.listen(JOURNAL.add)

    def new_place(self) -> str:
        """Return a path for the files of one process."""
        return f"{self._directory}/{next(self._count)}"
