"""
The two pipes between a notebook and its processes.

Through one the processes report events, each a line of JSON. A pipe is written at
once and by the kernel, so that what a process said before ``kill -9`` arrives; and
lines up to PIPE_BUF bytes do not mix (write(2)).

Through the other nothing goes, ever. The notebook alone can write to it, so that
its end tells the processes that the notebook is gone, however it went.
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

from dp_core.notebook._journal import Event

__all__ = ["Pipes", "die_with_notebook", "reporter"]

_LIFELINE: Final = "DP_NOTEBOOK_LIFELINE"
_REPORTS: Final = "DP_NOTEBOOK_REPORTS"
_PLACE: Final = "DP_NOTEBOOK_PLACE"
_SIZE: Final = 65536


@final
class Pipes:
    """
    The notebook's ends.

    Args:
        place: A directory that is removed with the last process, if the
            notebook did not come to it.

    Attributes:
        inherited: The descriptors that processes inherit.
        env: Environment variables that tell them which is which.
    """

    def __init__(self, place: str) -> None:
        lifeline, self._lifeline = os.pipe()
        self._reports, reports = os.pipe()
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

    def listen(self, hear: Callable[[Event], object]) -> None:
        """Call *hear* with every event, from the running loop."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._loop.add_reader(self._reports, self.drain, hear)

    def drain(self, hear: Callable[[Event], object]) -> None:
        """Call *hear* with the events that have been reported up to now."""
        with suppress(BlockingIOError):
            while data := os.read(self._reports, _SIZE):
                *lines, self._rest = (self._rest + data).split(b"\n")
                for line in lines:
                    # A line that was too long to be written whole is none.
                    with suppress(ValueError, TypeError):
                        hear(Event(**json.loads(line)))

    def close(self) -> None:
        """End the processes that still hold on to the other ends."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(self._reports)
        for fd in (*self.inherited, self._lifeline, self._reports):
            os.close(fd)


def reporter() -> Callable[[Event], None] | None:
    """Return what reports to the notebook; None in a process that has none."""
    fd = os.environ.get(_REPORTS)
    if fd is None:
        return None

    def report(event: Event) -> None:
        line = json.dumps(asdict(event), ensure_ascii=False).encode()
        # Full only if the notebook is busy for long; then pictures have gaps,
        # which is better than that processes stand still.
        with suppress(BlockingIOError):
            os.write(int(fd), line + b"\n")

    return report


def die_with_notebook() -> None:
    """
    End this process as soon as the notebook is gone.

    ipykernel asks once a second whether its parent has changed, and not
    reliably where orphans are adopted by another process than init.
    """
    fd = os.environ.get(_LIFELINE)
    if fd is not None:
        Thread(target=_wait_and_exit, args=(int(fd),), daemon=True).start()


def _wait_and_exit(fd: int) -> None:
    os.read(fd, 1)
    shutil.rmtree(os.environ[_PLACE], ignore_errors=True)
    os._exit(1)
