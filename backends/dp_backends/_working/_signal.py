"""`Signal`: one caller in some event loop, who is woken up once."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Final, final

import anyio
from anyio.lowlevel import EventLoopToken, current_token

from dp_core.backend import LoopLocal, call_soon

__all__ = ["Signal", "wake_all"]


@final
class Signal:
    """
    A caller that waits, made in its event loop.

    Attributes:
        token: The event loop.
        loop: The callers whom that is to wake up.
    """

    __slots__ = ("_event", "_future", "loop", "token")

    def __init__(self) -> None:
        self.token = current_token()
        self.loop = _LOOPS.get()
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
    """
    Wake callers up, from any thread.

    An event loop is called once for all who can go on since it was called last: such a
    call costs as much as writing a small file.
    """
    loops: dict[_Loop, EventLoopToken] = {}
    for signal in signals:
        signal.loop.done.append(signal)
        loops[signal.loop] = signal.token
    for loop, token in loops.items():
        loop.call(token)


@final
class _Loop:
    """
    Callers whom an event loop is to wake up; not the loop itself, which it would keep.

    Attributes:
        done: The signals of callers who have their results.
    """

    def __init__(self) -> None:
        self.done: Final[deque[Signal]] = deque()
        self._is_called = False

    def call(self, token: EventLoopToken) -> None:
        """Let it wake up who is in ``done``; to be called after they were added."""
        if not self._is_called:
            self._is_called = True
            call_soon(token, self._wake_all)

    def _wake_all(self) -> None:
        # First: whoever finds it set has added a signal that is seen below.
        self._is_called = False
        while self.done:
            self.done.popleft().wake()


_LOOPS: Final = LoopLocal(_Loop)
