"""`Closable`: whether a handle is closed, and the waits that closing it ends."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, TypeAlias, final

import anyio
from anyio.lowlevel import EventLoopToken, current_token

from dp_core._errors import BackendClosedError, BackendError
from dp_core.backend._loop_local import call_soon

__all__ = ["Closable"]

_CLOSED: Final = "this handle was closed; connect() again"

_Wait: TypeAlias = tuple[EventLoopToken, int]
"""Its event loop, and the process that it is in."""


@final
class Closable:
    """
    The life of one handle, for all of its threads and event loops.

    .. code-block:: python

        async def wait(self, id):
            with self._life.wait():
                return await ...

        async def aclose(self):
            self._life.close()
    """

    def __init__(self) -> None:
        self._is_closed = False
        # No lock: adding and removing one are atomic.
        self._waits: dict[anyio.CancelScope, _Wait] = {}

    def check_open(self) -> None:
        """Raise `BackendClosedError` if the handle was closed."""
        if self._is_closed:
            raise BackendClosedError(_CLOSED)

    def close(self) -> None:
        """Close the handle, and end its waits; may be repeated, in any thread."""
        self._is_closed = True
        for scope, (token, pid) in tuple(self._waits.items()):
            # After a fork, those of the parent are not ours to end.
            if pid == os.getpid():
                call_soon(token, scope.cancel)

    @contextmanager
    def wait(self) -> Iterator[None]:
        """
        Run a wait, which `close` ends.

        Raises:
            BackendClosedError: The handle is closed, or was closed meanwhile.
        """
        self.check_open()
        scope = anyio.CancelScope()
        self._waits[scope] = current_token(), os.getpid()
        try:
            # Closed by another thread before `close` could know of this wait.
            self.check_open()
            with scope:
                yield
        except BackendError as error:
            # A cut connection, for one, may be noticed before the cancellation is.
            if self._is_closed:
                raise BackendClosedError(_CLOSED) from error
            raise
        finally:
            del self._waits[scope]
        if scope.cancelled_caught:
            raise BackendClosedError(_CLOSED)
