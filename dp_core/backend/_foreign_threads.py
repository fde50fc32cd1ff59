"""`ForeignThreads`: threads that libraries in other languages have started."""

from __future__ import annotations

import gc
import threading
from pathlib import Path
from typing import Final, final

import anyio

__all__ = ["ForeignThreads"]

_THREADS: Final = Path("/proc/self/task")

_LOOK_SECONDS: Final = 0.001


@final
class ForeignThreads:
    """
    The threads, not Python's own, that start from now on.

    For who runs a server or a driver that is written in Rust or C. Such a library may
    say that it is done a moment before its last thread is. A thread that touches
    Python in this moment, while the interpreter ends, takes the process down by
    SIGABRT, with an exit code that says that something failed.

    Only Linux tells of them; elsewhere there are none to wait for.
    """

    def __init__(self) -> None:
        self._before = _running()

    async def wait_until_ended(self, seconds: float) -> bool:
        """Wait until they have ended, or *seconds* are over; return if they have."""
        if not self._left():
            return True
        # A thread may serve an object of Python, and end with it, while only garbage
        # still refers to it: the traceback of an error refers to itself.
        gc.collect()
        with anyio.move_on_after(seconds):
            # The kernel tells nobody that a thread has ended.
            while self._left():  # noqa: ASYNC110
                await anyio.sleep(_LOOK_SECONDS)
            return True
        return False

    def _left(self) -> set[int]:
        return _running() - self._before


def _running() -> set[int]:
    if not _THREADS.is_dir():
        return set()
    ours = {thread.native_id for thread in threading.enumerate()}
    return {int(each.name) for each in _THREADS.iterdir()} - ours
