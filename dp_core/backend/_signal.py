"""`signal` and `wake`: a task sleeps until it is woken; it costs less than an event."""

from __future__ import annotations

from collections.abc import Awaitable, Generator
from typing import TYPE_CHECKING, Any, TypeAlias, final

from anyio.lowlevel import EventLoopToken, current_token

if TYPE_CHECKING:
    import asyncio

    import trio

__all__ = ["Signal", "signal", "wake"]


def signal(token: EventLoopToken | None = None) -> Signal:
    """
    Return a signal of this event loop, to be awaited once, by one task.

    Args:
        token: The event loop, for who has its token, as to find it out costs as much.
    """
    loop: Any = (token or current_token()).native_token
    # Not by its class: to import asyncio takes longer than all the rest.
    create_future = getattr(loop, "create_future", _TrioSignal)
    future: Signal = create_future()
    return future


def wake(signal: Signal) -> None:
    """
    Let the one who awaits a signal go on; may be repeated, and come too late.

    To be called in its event loop; from another thread, by `call_soon`.
    """
    if isinstance(signal, _TrioSignal):
        signal.wake()
    elif not signal.done():
        signal.set_result(None)


@final
class _TrioSignal(Awaitable[None]):
    """A future of trio, which has none."""

    __slots__ = ("_is_set", "_task")

    def __init__(self) -> None:
        self._is_set = False
        self._task: trio.lowlevel.Task | None = None

    def __await__(self) -> Generator[Any, Any, None]:
        from trio.lowlevel import (  # noqa: PLC0415 - only where it runs
            current_task,
            wait_task_rescheduled,
        )

        if not self._is_set:
            self._task = current_task()
            yield from wait_task_rescheduled(self._leave).__await__()  # noqa: ASYNC105 - it is

    def _leave(self, _: object) -> trio.lowlevel.Abort:
        from trio.lowlevel import Abort  # noqa: PLC0415 - only where it runs

        self._task = None
        return Abort.SUCCEEDED

    def wake(self) -> None:
        """Set it, once."""
        self._is_set = True
        task, self._task = self._task, None
        if task is not None:
            from trio.lowlevel import reschedule  # noqa: PLC0415 - only where it runs

            reschedule(task)


Signal: TypeAlias = "asyncio.Future[None] | _TrioSignal"
"""One wake-up of one task."""
