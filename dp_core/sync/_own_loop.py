"""`run_here`: a coroutine in an event loop of the calling thread, for this one call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from typing import Any, TypeVar, final

from dp_core._errors import BackendUnavailableError
from dp_core.backend import blocking_here
from dp_core.sync._result import CallResult

__all__ = ["SyncLoop", "no_loop", "run_here"]

T = TypeVar("T")


@final
class SyncLoop(asyncio.SelectorEventLoop):
    """
    An event loop of this package, which no coroutine of the program runs in.

    But `__del__` may, of whatever the collector finds there, and observers.
    """

    _is_made = False

    def __init__(self) -> None:
        super().__init__()
        self._is_made = True

    def is_closed(self) -> bool:
        # One that could not be made, for want of descriptors, is none to be closed.
        return not self._is_made or super().is_closed()


def run_here(make: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """
    Return or raise what a coroutine does, where no thread can be started for it.

    Also in a callback of a `SyncLoop`, which is stopped meanwhile.

    Args:
        make: Makes the coroutine.
    """
    result: CallResult[T] = CallResult()
    outer = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    try:
        # Not the event loop of this thread, which is the program's own affair.
        with (
            blocking_here(_is_alone),
            asyncio.Runner(loop_factory=SyncLoop) as runner,
        ):
            runner.run(result.take(make), context=copy_context())
    except asyncio.CancelledError:
        # A second Ctrl-C, or one at its very beginning: nobody else cancels it. Tests
        # of signals at each moment are not run while coverage is measured.
        raise KeyboardInterrupt from None  # pragma: no cover
    except OSError as error:
        raise no_loop(error) from error
    finally:
        asyncio._set_running_loop(outer)
    return result.give()


def _is_alone() -> bool:
    return True


def no_loop(error: BaseException) -> BackendUnavailableError:
    """Return the error of calls for which no event loop can be made."""
    return BackendUnavailableError(
        f"an event loop cannot be made: {error}; once that is over, repeat the call"
    )
