"""
`Pipes`: the two pipes between a notebook and its processes.

Through the first, processes report events, each a line of JSON. A written line is
in the kernel's hands, so that it arrives also if the process is killed right after;
and lines up to PIPE_BUF bytes do not mix (write(2)).

Nothing is ever written to the second. The notebook alone holds its writing end, so
that processes read its end of file when the notebook is gone, for whatever reason.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from threading import Thread
from typing import Final, final

from dp_core.notebook._journal import NOTEBOOK, JournalEvent

__all__ = ["PROCESS", "Pipes", "die_with_notebook", "process_name", "reporter"]

PROCESS: Final = "DP_NOTEBOOK_PROCESS"
"""The environment variable that holds a process's name."""

_LIFELINE: Final = "DP_NOTEBOOK_LIFELINE"
_REPORTS: Final = "DP_NOTEBOOK_REPORTS"
_PLACE: Final = "DP_NOTEBOOK_PLACE"
_SIZE: Final = 65536


@final
class Pipes:
    """
    The notebook's ends of both pipes.

    Args:
        place: A directory; processes remove it if the notebook died before it
            could.

    Attributes:
        inherited: The descriptors that processes inherit.
        env: Environment variables that name these descriptors.
    """

    def __init__(self, place: str) -> None:
        lifeline, self._lifeline = os.pipe()
        try:
            self._reports, reports = os.pipe()
        except OSError:
            os.close(lifeline)
            os.close(self._lifeline)
            raise
        for fd in (self._reports, reports):
            os.set_blocking(fd, False)
        self.inherited = (lifeline, reports)
        self.env: Mapping[str, str] = {
            _LIFELINE: str(lifeline),
            _REPORTS: str(reports),
            _PLACE: place,
        }
        self._rest = b""
        self._loop: asyncio.AbstractEventLoop | None = None

    def listen(self, hear: Callable[[JournalEvent], object]) -> None:
        """Call *hear* with every event, from the running loop."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._loop.add_reader(self._reports, self.drain, hear)

    def drain(self, hear: Callable[[JournalEvent], object]) -> None:
        """Call *hear* with the events that have been reported up to now."""
        with suppress(BlockingIOError):
            while data := os.read(self._reports, _SIZE):
                *lines, self._rest = (self._rest + data).split(b"\n")
                for line in lines:
                    # A line that was too long is not written whole, and not JSON.
                    with suppress(ValueError, TypeError):
                        hear(JournalEvent(**json.loads(line)))

    def close(self) -> None:
        """Close both; processes that still hold the other ends then exit."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(self._reports)
        for fd in (*self.inherited, self._lifeline, self._reports):
            os.close(fd)


def reporter() -> Callable[[JournalEvent], None] | None:
    """Return a function that reports to the notebook; None if there is none."""
    fd = os.environ.get(_REPORTS)
    if fd is None:
        return None

    def report(event: JournalEvent) -> None:
        # The environment's name of this process may hold what UTF-8 cannot.
        line = json.dumps(asdict(event), ensure_ascii=False).encode(errors="replace")
        # The pipe is full only if the notebook is busy for long. Pictures with
        # gaps are better than processes that stand still.
        with suppress(BlockingIOError):
            os.write(int(fd), line + b"\n")

    return report


def process_name() -> str:
    """Return the name of this process; that of the notebook itself is "notebook"."""
    return os.environ.get(PROCESS, NOTEBOOK)


def die_with_notebook() -> None:
    """
    End this process as soon as the notebook is gone.

    ipykernel looks once a second whether its parent has changed; that fails where
    orphans are adopted by another process than init.
    """
    fd = os.environ.get(_LIFELINE)
    if fd is not None:
        Thread(target=_wait_and_exit, args=(int(fd),), daemon=True).start()


def _wait_and_exit(fd: int) -> None:
    os.read(fd, 1)
    shutil.rmtree(os.environ[_PLACE], ignore_errors=True)
    os._exit(1)
