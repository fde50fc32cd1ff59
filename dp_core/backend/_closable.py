"""`Closable`: whether a handle is closed, and the waits that closing it ends."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeAlias, final

import anyio
from anyio.lowlevel import EventLoopToken, current_token

from dp_core._errors import BackendClosedError, BackendError
from dp_core.backend._loop_local import call_soon

__all__ = ["Closable"]

_CLOSED: Final = "this handle was closed; connect() again"

_Home: TypeAlias = tuple[EventLoopToken, int]
"""An event loop, and the process that it is in."""


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
        self._ends: dict[Callable[[], object], _Home] = {}

    @property
    def is_closed(self) -> bool:
        """Whether the handle was closed."""
        return self._is_closed

    def check_open(self) -> None:
        """Raise `BackendClosedError` if the handle was closed."""
        if self._is_closed:
            raise self.closed()

    def close(self) -> None:
        """Close the handle, and end its waits; may be repeated, in any thread."""
        self._is_closed = True
        for end, (token, pid) in tuple(self._ends.items()):
            # After a fork, those of the parent are not ours to end.
            if pid == os.getpid():
                call_soon(token, end)

    def closed(self) -> BackendClosedError:
        """Return the error with which a wait ends when the handle is closed."""
        return BackendClosedError(_CLOSED)

    def add(self, end: Callable[[], object]) -> None:
        """
        Let `close` call a function in this event loop, soon, until `discard`.

        For waits that are kept together, and can be ended so.

        Raises:
            BackendClosedError: The handle is closed.
        """
        self.check_open()
        self._ends[end] = current_token(), os.getpid()
        # Closed by another thread before `close` could know of this one.
        if self._is_closed:
            self.discard(end)
            raise self.closed()

    def discard(self, end: Callable[[], object]) -> None:
        """Let `close` call a function no more."""
        self._ends.pop(end, None)

    @contextmanager
    def wait(self) -> Iterator[None]:
        """
        Run a wait, which `close` ends.

        Raises:
            BackendClosedError: The handle is closed, or was closed meanwhile.
        """
        scope = anyio.CancelScope()
        end = scope.cancel
        self.add(end)
        try:
            with scope:
                yield
        except BackendError as error:
            # A cut connection, for one, may be noticed before the cancellation is.
            if self._is_closed:
                raise self.closed() from error
            raise
        finally:
            self.discard(end)
        if scope.cancelled_caught:
            raise self.closed()
