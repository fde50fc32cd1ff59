"""`Signal`: one caller in some event loop, who is woken up once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import partial
from typing import final

import anyio
from anyio.lowlevel import EventLoopToken, current_token

from dp_core.backend import call_soon

__all__ = ["Signal", "wake_all"]


@final
class Signal:
    """
    A caller that waits, made in its event loop.

    Attributes:
        token: The event loop.
    """

    __slots__ = ("_event", "_future", "token")

    def __init__(self) -> None:
        self.token = current_token()
        loop = self.token.native_token
        # A future of asyncio wakes its task up at half the cost of an event.
        if isinstance(loop, asyncio.AbstractEventLoop):
            self._future: asyncio.Future[None] | None = loop.create_future()
        else:
            self._future, self._event = None, anyio.Event()

    async def wait(self) -> None:
        """Return once it was woken up."""
        if self._future is None:
            await self._event.wait()
        else:
            await self._future

    def wake(self) -> None:
        """Wake it up; to be called in its event loop."""
        if self._future is None:
            self._event.set()
        elif not self._future.done():
            self._future.set_result(None)


def wake_all(signals: Iterable[Signal]) -> None:
    """Wake callers up, by one call into each of their event loops; from any thread."""
    loops: dict[EventLoopToken, list[Signal]] = {}
    for signal in signals:
        loops.setdefault(signal.token, []).append(signal)
    for token, mine in loops.items():
        call_soon(token, partial(_wake, mine))


def _wake(signals: Iterable[Signal]) -> None:
    for signal in signals:
        signal.wake()
