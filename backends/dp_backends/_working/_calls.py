"""`WorkerCall`: one caller in some event loop, for whom a thread does something."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final, Generic, TypeVar, final

from anyio.lowlevel import EventLoopToken, current_token

from dp_core.backend import LoopLocal, Signal, call_soon, signal, wake

__all__ = ["WorkerCall", "tell"]

R = TypeVar("R")


class WorkerCall(Generic[R]):
    """
    One call of a caller in some event loop.

    Attributes:
        result: What `outcome` returns.
        error: What it raises.
        is_withdrawn: Whether the caller left.
        token: The event loop.
        loop: The callers whom that is to wake up.
        signal: Wakes up this one.
    """

    __slots__ = ("error", "is_withdrawn", "loop", "result", "signal", "token")

    result: R
    token: EventLoopToken
    loop: _Loop
    signal: Signal

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self.is_withdrawn = False

    def come(self) -> None:
        """Come from the event loop that is running."""
        # Asked for once, as it takes longer than all the rest.
        self.token = current_token()
        self.loop = _LOOPS.get(self.token)
        self.signal = signal(self.token)

    async def wait(self) -> R:
        """
        Return the result, or raise the error, once the caller is told.

        If it is cancelled before, the call is withdrawn.
        """
        try:
            await self.signal
        except BaseException:
            self.is_withdrawn = True
            raise
        return self.outcome()

    def outcome(self) -> R:
        """Return the result, or raise the error; once."""
        error, self.error = self.error, None
        if error is None:
            return self.result
        try:
            raise error
        finally:
            # Not in a cycle with its traceback, which holds what was refused.
            error = None


def tell(calls: Iterable[WorkerCall[object]]) -> None:
    """
    Let the callers of calls go on; from any thread.

    An event loop is called once for all who can go on since it was called last: such a
    call costs as much as writing a small file.
    """
    loops: dict[_Loop, EventLoopToken] = {}
    for call in calls:
        call.loop.done.append(call.signal)
        loops[call.loop] = call.token
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
            wake(self.done.popleft())


_LOOPS: Final = LoopLocal(_Loop)
