"""`watch_end`: the moment at which a process ends, and how, as the kernel tells it."""

from __future__ import annotations

import asyncio
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from subprocess import Popen
from threading import Thread
from typing import Any, final

__all__ = ["ProcessEnd", "watch_end"]


@final
@dataclass(frozen=True, slots=True)
class ProcessEnd:
    """
    The end of a process.

    Attributes:
        status: Its exit code; minus the number of the signal that it died of.
        at: The time, in seconds of the monotonic clock.
    """

    status: int
    at: float

    @property
    def by_signal(self) -> bool:
        """Whether it died of a signal."""
        return self.status < 0

    def __str__(self) -> str:
        if not self.by_signal:
            return f"exit code {self.status}"
        number = -self.status
        if number == signal.SIGKILL:
            return "signal 9"  # As `kill -9` is entered.
        return f"signal {number} ({signal.strsignal(number) or 'unknown'})"


def watch_end(process: Popen[Any]) -> asyncio.Future[ProcessEnd]:
    """
    Return a future that has the end of a child process when there is one.

    A thread waits for it. The event loop alone would be told late, with the wrong
    time, while a cell of the notebook computes; and to ask every few milliseconds
    costs something as long as the process lives.
    """
    loop = asyncio.get_running_loop()
    end: asyncio.Future[ProcessEnd] = loop.create_future()

    def tell(found: ProcessEnd) -> None:
        if not end.done():
            end.set_result(found)

    def wait() -> None:
        status = process.wait()
        found = ProcessEnd(status, time.monotonic())
        with suppress(RuntimeError):  # The loop is closed: nobody asks any more.
            loop.call_soon_threadsafe(tell, found)

    Thread(target=wait, name=f"end of {process.pid}", daemon=True).start()
    return end
