"""
`watchdog` and `no_files_left`: what the kit does to the whole process.

The watchdog breaks off a call that blocks the event loop itself. A timeout of the
event loop cannot end a call that never lets the loop turn, such as
``threading.Event.wait()`` in a coroutine. A signal can, in the main thread.
"""

from __future__ import annotations

import math
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib.util import find_spec
from types import FrameType
from typing import Final

import anyio

from dp_core.testing.kit._stepping import LoopBlockedError, step_through

__all__ = ["no_files_left", "watchdog"]

_PERIOD: Final = 0.25


@asynccontextmanager
async def watchdog(patience: Callable[[], float]) -> AsyncIterator[None]:
    """
    Break off calls that block the event loop for longer than *patience* seconds.

    Works in the main thread of a POSIX system, where SIGALRM is not used by
    anybody else; elsewhere it does nothing.
    """
    if not _is_possible():
        yield
        return
    beats = seen = missed = 0

    def on_alarm(signum: int, frame: FrameType | None) -> None:
        nonlocal seen, missed
        # Alarms are counted, not seconds: a stopped process gets only one.
        missed = missed + 1 if beats == seen else 0
        seen = beats
        if missed * _PERIOD > patience() and _is_in_a_call(frame):
            missed = 0
            raise LoopBlockedError(
                f"it blocked the event loop for more than {patience():g} s"
            )

    async def beat() -> None:
        nonlocal beats
        while True:
            beats += 1
            await anyio.sleep(_PERIOD / 4)

    before = signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, _PERIOD, _PERIOD)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(beat)
            yield
            tasks.cancel_scope.cancel()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _is_possible() -> bool:
    return (
        threading.current_thread() is threading.main_thread()
        and hasattr(signal, "setitimer")
        and signal.getsignal(signal.SIGALRM) is signal.SIG_DFL
        and math.isclose(signal.getitimer(signal.ITIMER_REAL)[0], 0)
    )


def _is_in_a_call(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code is step_through.__code__:
            return True
        frame = frame.f_back
    return False


@contextmanager
def no_files_left() -> Iterator[None]:
    """
    Let this process open no more files, sockets and pipes; those open stay.

    Does nothing where a process has no such limit (`resource` is for POSIX).
    """
    if find_spec("resource") is None:
        yield
        return
    import resource  # noqa: PLC0415 - not everywhere

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    # The number of the next descriptor is the first that is too high (getrlimit(2)).
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
