"""`Health`: whether the store answers, asked once for all who ask together."""

from __future__ import annotations

from typing import Final, final

from anyio import Lock, move_on_after

from dp_core._errors import BackendError
from dp_core.backend import Backend
from dp_core.server._answering._operations import Operations
from dp_core.wire import Peek

__all__ = ["Health"]

_ID: Final = "dp.health"
_SECONDS: Final = 5.0


@final
class Health:
    """
    The health of one backend.

    Anybody may ask for it, without a token. So however many do, the store is asked once
    at a time: who comes while it is asked is told the same.

    Args:
        backend: The backend.
        operations: Where failures are told.
    """

    def __init__(self, backend: Backend, operations: Operations) -> None:
        self._backend = backend
        self._operations = operations
        self._lock = Lock()
        self._looks = 0
        self._is_good = False

    async def is_good(self) -> bool:
        """Return whether the store answers within five seconds."""
        before = self._looks
        async with self._lock:
            if self._looks == before:
                self._is_good = await self._look()
                self._looks += 1
            return self._is_good

    async def _look(self) -> bool:
        with move_on_after(_SECONDS):
            try:
                await self._backend.peek(_ID)
            except BackendError as error:
                self._operations.tell_failure(Peek(_ID), error)
                return False
            return True
        return False
