"""
`step_through` and `Schedule`: how races are forced, instead of hoped for.

A coroutine talks to its event loop by yielding. `step_through` stands between
the two and passes everything on, on asyncio and on trio alike. Each yield is
one *checkpoint*, and at any of them it can hold the operation, cancel it, or
delay it. With one operation held at its k-th checkpoint, for every k, another
one runs from start to end. Nearly all races need no more than one such
preemption (Musuvathi and Qadeer, "Iterative Context Bounding", PLDI 2007).

A backend sees nothing that a slow machine could not do to it as well.
"""

from __future__ import annotations

from collections.abc import Coroutine, Generator, Mapping
from contextlib import suppress
from types import coroutine
from typing import Any, TypeVar

import anyio
from anyio.lowlevel import cancel_shielded_checkpoint

__all__ = ["AbandonedError", "LoopBlockedError", "Schedule", "step_through"]

T = TypeVar("T")


class LoopBlockedError(Exception):
    """A call blocked the event loop: nothing else could run meanwhile."""


class AbandonedError(Exception):
    """A call that did not stop was taken off the event loop."""


class Schedule:
    """
    Interventions at the checkpoints of one operation, counted from 1.

    Args:
        hold_at: The checkpoint where the operation is held until `release`.
        cancel_at: The checkpoint where it is cancelled.
        delay_at: ``{checkpoint: turns of the loop that it loses there}``.

    Attributes:
        steps: The checkpoint where the operation is.
        was_held: Whether the operation is, or was, held.
        scope: Cancels the operation.
        abandoned: Set this to leave the operation where it is.
    """

    def __init__(
        self,
        *,
        hold_at: int = 0,
        cancel_at: int = 0,
        delay_at: Mapping[int, int] | None = None,
    ) -> None:
        self.steps = 0
        self.was_held = False
        self.scope = anyio.CancelScope()
        self.abandoned = False
        self._cancel_at = cancel_at
        self._delay_at = delay_at or {}
        self._hold_at = hold_at
        self._released = anyio.Event() if hold_at else None

    @property
    def is_plain(self) -> bool:
        """Whether nothing was done to the operation."""
        return not (self.was_held or self._delay_at or self.scope.cancel_called)

    @property
    def cancel_was_reached(self) -> bool:
        """Whether the operation came to the checkpoint where to cancel it."""
        return 0 < self._cancel_at <= self.steps

    def release(self) -> None:
        """Let the operation go on, and hold it no more."""
        self._hold_at = 0
        if self._released:
            self._released.set()

    def before_checkpoint(self) -> None:
        """Count a checkpoint, and cancel the operation if it is the one."""
        self.steps += 1
        if self.steps == self._cancel_at:
            self.scope.cancel()

    @property
    def stops_here(self) -> bool:
        """Whether the operation is held or delayed at the checkpoint where it is."""
        return self.steps == self._hold_at or self.steps in self._delay_at

    async def stop_here(self) -> None:
        """Delay the operation, or hold it until it is released."""
        # Shielded: an operation whose checkpoint went well must not see a
        # cancellation after it. trio never does this to a coroutine.
        for _ in range(self._delay_at.get(self.steps, 0)):
            await cancel_shielded_checkpoint()
        if self._released and self.steps == self._hold_at:
            self.was_held = True
            with anyio.CancelScope(shield=True):
                await self._released.wait()


@coroutine
def step_through(
    operation: Coroutine[Any, Any, T], schedule: Schedule
) -> Generator[Any, Any, T]:
    """
    Run *operation* according to *schedule*; await it like *operation* itself.

    An operation that swallows its cancellation is left where it is once
    ``schedule.abandoned`` is set, so that nobody has to wait for it.

    Raises:
        AbandonedError: The operation was left.
    """
    resume: Any = operation.send
    value: Any = None
    while True:
        try:
            trap = resume(value)
        except StopIteration as stop:
            result: T = stop.value
            return result
        schedule.before_checkpoint()
        try:
            value = yield trap
            resume = operation.send
            if schedule.stops_here:
                yield from schedule.stop_here().__await__()
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is passed on
            value, resume = error, operation.throw
        if schedule.abandoned:
            with suppress(BaseException):
                operation.close()
            raise AbandonedError
