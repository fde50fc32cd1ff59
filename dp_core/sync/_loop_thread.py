"""`LoopThread`: a thread that runs an event loop, until it has no calls."""

from __future__ import annotations

import _thread
import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final, final

from dp_core.backend import blocking_here
from dp_core.sync._own_loop import SyncLoop, no_loop

__all__ = ["LoopThread", "NoThreadError"]

_IDLE: Final = 1.0
"""Seconds without a call after which the thread ends."""

_PATIENCE: Final = 1.0
"""The longest time, in seconds, to wait for a thread that is to stand still."""


class NoThreadError(RuntimeError):
    """A thread cannot be started: a limit is reached, or the interpreter ends."""


@final
class LoopThread:
    """
    A thread, and the event loop that it runs.

    Whoever calls may be interrupted by a signal handler at any point, which raises, or
    makes a call itself, as ``__del__`` may. So a caller holds no lock, and has nothing
    to undo: it appends to a queue, and all else is done by the thread, where no signal
    handler runs. The thread decides alone to end: it says so, and then looks once more
    into the queue. Who has put something there finds it taken, or takes it back.

    Attributes:
        is_over: Whether the thread ends, or did.
    """

    def __init__(self) -> None:
        self.is_over = False
        self._queue: deque[Callable[[], None]] = deque()
        self._calls = 0
        self._idle_since = 0.0
        self._has_timer = False
        self._end: asyncio.Event | None = None
        self._wake_up: Callable[[], object] | None = None
        self._failure: BaseException | None = None
        self._is_ready = threading.Lock()
        self._is_ready.acquire()
        # A thread that waits for strangers must not keep the program from its end.
        self._thread = threading.Thread(target=self._run, name="dp-sync", daemon=True)

    def start(self) -> None:
        """
        Start the thread; without calls, it ends by itself.

        Raises:
            NoThreadError: It cannot be started.
            BackendUnavailableError: It has no event loop.
        """
        try:
            # A signal handler that raises would leave `Thread.start` half done.
            _thread.start_new_thread(self._start, ())
        except RuntimeError:
            raise NoThreadError from None
        self._is_ready.acquire()
        if isinstance(self._failure, NoThreadError):
            raise NoThreadError
        if self._failure is not None:
            raise no_loop(self._failure)

    # Coverage follows the threads of `threading` only.
    def _start(self) -> None:  # pragma: no cover
        try:
            self._thread.start()
        except RuntimeError:
            self._failure = NoThreadError()
            self._is_ready.release()

    def put(self, function: Callable[[], None]) -> bool:
        """
        Let the thread call a function, which raises nothing; from any thread.

        Functions are called in the order in which they were put.

        Returns:
            False if it is not called, as the thread ends.
        """
        self._queue.append(function)
        if self.is_over:
            try:
                self._queue.remove(function)
            except ValueError:  # pragma: no cover - taken between these two lines
                return True
            return False
        if (wake_up := self._wake_up) is not None:  # pragma: no branch - it just ended
            with suppress(RuntimeError):
                # It has looked for the last time.
                wake_up()
        return True

    def rest(self, go_on: threading.Lock) -> None:
        """
        Let the thread end, if it has no calls, or stand still; and wait for that.

        It stands still between two steps of its tasks: so it holds no lock then, as of
        an import, and nothing is half done.

        Args:
            go_on: A lock that is held. Once it is released, the thread goes on.
        """
        if threading.current_thread() is self._thread:
            return
        rests = threading.Lock()
        rests.acquire()

        def rest() -> None:
            self._end_if_idle()
            rests.release()
            if not self.is_over:
                go_on.acquire(timeout=_PATIENCE)

        # It may be waiting for what the caller holds.
        if self.put(rest) and not rests.acquire(timeout=_PATIENCE):
            return
        if self.is_over:
            self._thread.join()

    # In the thread ----------------------------------------------------------

    @staticmethod
    def here() -> LoopThread:
        """Return the one whose thread this is."""
        here: LoopThread = _HERE.thread
        return here

    def begin_call(self) -> None:
        """Go on until `end_call`."""
        self._calls += 1

    def end_call(self, _: object = None) -> None:
        """Go on for a while, for another call."""
        self._calls -= 1
        if not self._calls:
            self._idle_since = time.monotonic()
            self._look_after(_IDLE)

    def _run(self) -> None:
        try:
            # anyio takes the task that a runner runs for the owner of its worker
            # threads: they serve one call after another.
            with asyncio.Runner(loop_factory=SyncLoop) as runner:
                try:
                    runner.run(self._serve())
                finally:
                    # Before those who wait hear of it, and call again.
                    self.is_over = True
        except BaseException as error:  # noqa: BLE001 - for who starts it, or has called
            self._failure = error
        finally:
            self.is_over = True
            # Freed here, not in the middle of what another thread does.
            self._wake_up = self._end = None
            # Of who put it just before, and has not seen that this is over.
            self._take_all()
            with suppress(RuntimeError):
                self._is_ready.release()

    async def _serve(self) -> None:
        _HERE.thread = self
        loop = asyncio.get_running_loop()
        end = self._end = asyncio.Event()
        self._wake_up = partial(loop.call_soon_threadsafe, self._take_all)
        self._look_after(_IDLE)
        self._is_ready.release()
        with blocking_here(self._is_alone):
            await end.wait()

    def _is_alone(self) -> bool:
        """Tell whether there is one caller only, whose work may block this thread."""
        return self._calls == 1 and not self._queue

    def _take_all(self) -> None:
        while True:
            try:
                function = self._queue.popleft()
            except IndexError:
                return
            function()
            # A thread at rest keeps nobody.
            del function

    def _look_after(self, seconds: float) -> None:
        if not self._has_timer:
            self._has_timer = True
            asyncio.get_running_loop().call_later(seconds, self._look)

    def _look(self) -> None:
        self._has_timer = False
        left = self._idle_since + _IDLE - time.monotonic()
        if self._calls:
            # The last of them looks again.
            return
        if left > 0:
            self._look_after(left)
        else:
            self._end_if_idle()

    def _end_if_idle(self) -> None:
        while not self._calls and self._end is not None:
            self.is_over = True
            if not self._queue:
                self._end.set()
                return
            self.is_over = False  # pragma: no cover - put between these two lines
            self._take_all()  # pragma: no cover


_HERE: Final = threading.local()
