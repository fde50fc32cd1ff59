"""
`SharedLoop`: the event loop of all threads of a process, in a thread of its own.

Here Ctrl-C ends a call. Which loop a call gets, also after a fork, is in `_run`.
"""

from __future__ import annotations

import sys
import threading
from asyncio import CancelledError
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar, final

from dp_core._errors import OutcomeUnknownError
from dp_core.sync._call import LoopCall
from dp_core.sync._loop_thread import LoopThread, NoThreadError

__all__ = ["SharedLoop"]

T = TypeVar("T")

_CUT: Final = "the event loop of this call has come to an end: repeat the call"

_FORKED: Final = (
    "the process was forked in the middle of this call, with which its parent goes on: "
    "repeat it here"
)


@final
class SharedLoop:
    """An event loop for all threads, of which each is blocked by its own call."""

    def __init__(self) -> None:
        # Of who starts a thread. Re-entrant, as a signal handler may make a call there.
        self._starting = threading.RLock()
        self._thread: LoopThread | None = None
        self._is_closed = False
        self._under_way: set[LoopCall[Any]] = set()

    def run(
        self,
        make: Callable[[], Coroutine[Any, Any, T]],
        there: LoopThread | None = None,
    ) -> T:
        """
        Return or raise what a coroutine does; this thread is blocked until it ends.

        What a signal handler raises meanwhile, such as KeyboardInterrupt, cancels the
        coroutine and is raised once that has ended; what it raises then, at once.

        Args:
            make: Makes the coroutine.
            there: The thread to run it, unless that has ended; by default any.

        Raises:
            NoThreadError: A thread cannot be started.
            BackendUnavailableError: An event loop cannot be made.
            OutcomeUnknownError: The event loop was lost in the middle of it.
        """
        call = LoopCall(make)
        try:
            self._under_way.add(call)
            while there is None or not call.put(there) or not call.wait():
                there = self._there()
        except BaseException:
            call.cancel()
            raise
        finally:
            self._under_way.discard(call)
        try:
            return call.result()
        except CancelledError:
            # Not by this thread: something has stopped the loop, as by `sys.exit`.
            raise OutcomeUnknownError(_CUT) from None

    def _there(self) -> LoopThread:
        if sys.is_finalizing():
            # No thread goes on, also not the one that there is.
            raise NoThreadError
        thread = self._thread
        if thread is None or thread.is_over:
            with self._starting:
                thread = self._thread
                if thread is None or thread.is_over:
                    if self._is_closed:
                        raise NoThreadError
                    thread = LoopThread()
                    # Before others see it: one that was not started serves nobody.
                    thread.start()
                    self._thread = thread
        return thread

    def rest(self, go_on: threading.Lock) -> None:
        """End the thread, or let it stand still; see `LoopThread.rest`."""
        thread = self._thread
        if thread is not None:
            thread.rest(go_on)

    def close(self) -> None:
        """End the thread, unless there are calls, and start none any more."""
        self._is_closed = True
        self.rest(threading.Lock())

    def give_up(self) -> None:
        """
        End the calls under way, in a process that was forked in the middle of them.

        A signal handler may do that, and return.
        """
        for call in tuple(self._under_way):
            call.fail(OutcomeUnknownError(_FORKED))
