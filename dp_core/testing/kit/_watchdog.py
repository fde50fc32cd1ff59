"""
`watchdog` and `no_files_left`: what the kit does to the whole process.

The watchdog breaks off a call that blocks the event loop itself. A timeout of the
event loop cannot end a call that never lets the loop turn, such as
``threading.Event.wait()`` in a coroutine. A signal can, in the main thread. How long is
too long is said by `Effort.patience`.
"""

from __future__ import annotations

import math
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Final

from dp_core.testing.kit._stepping import LoopBlockedError, Schedule, step_through

__all__ = ["no_files_left", "watchdog"]

_PERIOD: Final = 0.25


@contextmanager
def watchdog(patience: Callable[[], float]) -> Iterator[None]:
    """
    Break off calls that block the event loop for longer than *patience* seconds.

    Works in the main thread of a POSIX system, where SIGALRM is not used by
    anybody else; elsewhere it does nothing.
    """
    if not _is_possible():
        yield
        return
    seen: tuple[Schedule, int] | None = None
    missed = 0

    def on_alarm(signum: int, frame: FrameType | None) -> None:
        nonlocal seen, missed
        step = _step(frame)
        # Alarms are counted, not seconds: a stopped process gets only one. And one
        # step must last so long: many calls that take their turns block nobody.
        missed = missed + 1 if step is not None and step == seen else 0
        seen = step
        if missed * _PERIOD > patience():
            missed = 0
            raise LoopBlockedError(
                f"it blocked the event loop for more than {patience():g} s"
            )

    before = signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, _PERIOD, _PERIOD)
    try:
        yield
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


def _step(frame: FrameType | None) -> tuple[Schedule, int] | None:
    """Return the step of a call that is under way: its schedule and its number."""
    while frame is not None:
        if frame.f_code is step_through.__code__:
            schedule: Schedule = frame.f_locals["schedule"]
            return schedule, schedule.steps
        frame = frame.f_back
    return None


@contextmanager
def no_files_left() -> Iterator[None]:
    """
    Let this process open no more files, sockets and pipes; those open stay.

    That holds for all its threads. A program that is not made for it may end itself:
    a Jupyter kernel does. Without such a limit (`resource` is for POSIX), it does
    nothing.
    """
    if find_spec("resource") is None:  # pragma: no cover - not on POSIX
        yield
        return
    import resource  # noqa: PLC0415 - not everywhere

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(path.name) for path in Path("/dev/fd").iterdir())
    fillers: list[int] = []
    try:
        # Not below what is in use, which poll(2) would refuse: what is free there
        # is used up. A limit is the first number that is too high (getrlimit(2)).
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, highest + 1), hard))
        with suppress(OSError):
            while True:
                fillers.append(os.open(os.devnull, os.O_RDONLY))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for filler in fillers:
            os.close(filler)
