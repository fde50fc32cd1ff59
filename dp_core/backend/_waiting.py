"""`wait_or_peek`: the one rule of waiting with a time limit."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import anyio

from dp_core._states import State
from dp_core.backend._contract import Backend, TimedBackend

__all__ = ["wait_or_peek"]


def wait_or_peek(
    backend: Backend, id: str, seconds: float | None
) -> Coroutine[Any, Any, State[bytes]]:
    """
    Wait for the outcome of a promise, for a limited time.

    Args:
        backend: The backend to ask.
        id: The promise's id.
        seconds: The longest wait; None for as long as it takes. With 0 the
            promise is looked at once.

    Returns:
        The outcome; `Pending` when the time is over.

    Raises:
        PromiseDisposedError: The promise was disposed of meanwhile.
        BackendError: The store could not be asked.
    """
    # Neither a scope nor a frame of its own, which each of many waits would pay for.
    if seconds is None:
        return backend.wait(id)
    return _for_a_time(backend, id, seconds)


async def _for_a_time(backend: Backend, id: str, seconds: float) -> State[bytes]:
    if isinstance(backend, TimedBackend):
        return await backend.wait_for(id, seconds)
    if seconds <= 0:
        # A cancel scope that is over from the start would not let `wait` look.
        return await backend.peek(id)
    with anyio.move_on_after(seconds):
        return await backend.wait(id)
    # The wait has not said that the promise is pending: the store may be away.
    return await backend.peek(id)
