"""
How the kit gets between a backend and the event loop.

A coroutine talks to its loop by yielding. `drive` stands between the two and
passes everything on, on asyncio and on trio alike; each yield is one
*checkpoint*, and at any of them it can hold the operation back, cancel it, or
make it dawdle. This is how races are forced instead of hoped for: with one
operation held at its k-th checkpoint, for every k, another one runs from start
to end. Nearly all races there are need no more than one such preemption
(Musuvathi and Qadeer, "Iterative Context Bounding", PLDI 2007).

Nothing here asks more of a backend than a slow machine would.
"""

from __future__ import annotations

from collections.abc import Coroutine, Generator, Mapping
from contextlib import suppress
from types import coroutine
from typing import Any, TypeVar

import anyio
from anyio.lowlevel import cancel_shielded_checkpoint

__all__ = ["GivenUpError", "LoopBlockedError", "Plan", "drive"]

T = TypeVar("T")


class LoopBlockedError(Exception):
    """A call blocked the event loop: nothing else could run meanwhile."""


class GivenUpError(Exception):
    """A call was left where it stood, because it did not stop."""


class Plan:
    """
    What is to happen at the checkpoints of one operation, counted from 1.

    Args:
        hold_at: Where the operation is held until `release`.
        cancel_at: Where it is cancelled.
        dawdle: How many turns of the loop it loses at which checkpoint.

    Attributes:
        steps: At which checkpoint the operation is.
        was_held: Whether the operation is, or was, held.
        scope: Cancels the operation.
        given_up: Whether to leave the operation where it is.
    """

    def __init__(
        self,
        *,
        hold_at: int = 0,
        cancel_at: int = 0,
        dawdle: Mapping[int, int] | None = None,
    ) -> None:
        self.steps = 0
        self.was_held = False
        self.scope = anyio.CancelScope()
        self.given_up = False
        self._cancel_at = cancel_at
        self._dawdle = dawdle or {}
        self._hold_at = hold_at
        self._released = anyio.Event() if hold_at else None

    @property
    def is_plain(self) -> bool:
        """Whether nothing was done to the operation."""
        return not (self.was_held or self._dawdle or self.scope.cancel_called)

    @property
    def cancel_was_reached(self) -> bool:
        """Whether the operation got as far as the checkpoint to cancel it at."""
        return 0 < self._cancel_at <= self.steps

    def release(self) -> None:
        """Let the operation go on, and hold it no more."""
        self._hold_at = 0
        if self._released:
            self._released.set()

    def before_checkpoint(self) -> None:
        self.steps += 1
        if self.steps == self._cancel_at:
            self.scope.cancel()

    @property
    def is_slow_here(self) -> bool:
        """Whether the operation loses time at the checkpoint where it is."""
        return self.steps == self._hold_at or self.steps in self._dawdle

    async def lose_time(self) -> None:
        # Shielded: an operation whose checkpoint went well must not see a
        # cancellation there; trio would never do this to it.
        for _ in range(self._dawdle.get(self.steps, 0)):
            await cancel_shielded_checkpoint()
        if self._released and self.steps == self._hold_at:
            self.was_held = True
            with anyio.CancelScope(shield=True):
                await self._released.wait()


@coroutine
def drive(operation: Coroutine[Any, Any, T], plan: Plan) -> Generator[Any, Any, T]:
    """
    Run *operation* according to *plan*; await it as you would *operation*.

    An operation that swallows its cancellation is left where it stands once
    ``plan.given_up`` is set, so that nobody has to wait for it.

    Raises:
        GivenUpError: It was left.
    """
    resume: Any = operation.send
    value: Any = None
    while True:
        try:
            trap = resume(value)
        except StopIteration as stop:
            result: T = stop.value
            return result
        plan.before_checkpoint()
        try:
            value = yield trap
            resume = operation.send
            if plan.is_slow_here:
                yield from plan.lose_time().__await__()
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is passed on
            value, resume = error, operation.throw
        if plan.given_up:
            with suppress(BaseException):
                operation.close()
            raise GivenUpError
