"""`is_cancellation`: cancellations, told from what a backend raises like them."""

from __future__ import annotations

import asyncio

from anyio import get_cancelled_exc_class

__all__ = ["is_cancellation"]


def is_cancellation(error: BaseException) -> bool:
    """Tell whether an error says that the task in which it is caught is cancelled."""
    cancelled = get_cancelled_exc_class()
    if isinstance(error, BaseExceptionGroup):
        return error.split(cancelled)[1] is None
    if cancelled is asyncio.CancelledError and isinstance(error, cancelled):
        # Who cancels a task is counted; there, anybody may raise the same error.
        task = asyncio.current_task()
        return task is not None and task.cancelling() > 0
    # A coroutine that is thrown away ends so.
    return isinstance(error, cancelled | GeneratorExit)
