"""
`call` and `hold`: async code, for a thread that is blocked until it ends.

It runs in the `SharedLoop` of the process, in a thread of the library. So what a signal
handler raises in the main thread never comes in the middle of a store's code; thousands
of blocked threads need no event loop each; and they share connections, batches and
looks. Where no thread can be started, as at the end of the interpreter, the calling
thread runs its call itself, in a loop of its own.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import sys
import threading
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, Final, TypeVar

from dp_core._errors import EventLoopRunningError
from dp_core.sync._loop_thread import NoThreadError
from dp_core.sync._own_loop import SyncLoop, run_here
from dp_core.sync._shared_loop import SharedLoop
from dp_core.sync._with_block import Block

__all__ = ["call", "hold"]

T = TypeVar("T")

_LOOPS: Final = [SharedLoop()]
"""
That of this process comes last, after those of the processes it was forked from.

These are kept, because what they hold belongs to their processes: closing it here would
disturb them.
"""


def call(
    written: str,
    function: Callable[..., Coroutine[Any, Any, T]],
    *arguments: object,
    **named: object,
) -> T:
    """
    Return or raise what a coroutine function does.

    Args:
        written: How one writes this with `dp_core`, in an event loop.
        function: The function.
        arguments: What it is called with.
        named: The same, by name.

    Raises:
        EventLoopRunningError: An event loop runs in this thread.
        BackendUnavailableError: No event loop can be made for it.
    """
    loop = _shared_loop(written)
    make = partial(function, *arguments, **named)
    if loop is not None:
        try:
            return loop.run(make)
        except NoThreadError:
            pass
    return run_here(make)


def hold(written: str, manager: AbstractAsyncContextManager[object]) -> Block | None:
    """
    Enter an async context manager until `Block.leave`; see `call`.

    Returns:
        The block; None where a thread to hold it cannot be started.
    """
    loop = _shared_loop(written)
    if loop is None:
        return None
    block = Block(loop, manager)
    try:
        block.enter()
    except NoThreadError:
        return None
    return block


def _shared_loop(written: str) -> SharedLoop | None:
    """
    Return the event loop of this process; None where it runs in this very thread.

    Raises:
        EventLoopRunningError: An event loop of the program runs in this thread.
    """
    # Without an exception, in the traceback of which Ctrl-C would be shown.
    running = asyncio._get_running_loop()
    if isinstance(running, SyncLoop):
        return None
    if running is None:
        trio = sys.modules.get("trio")
        if trio is None or not trio.lowlevel.in_trio_run():
            return _LOOPS[-1]
    raise EventLoopRunningError(written)


_FORKING: Final[dict[int, threading.Lock]] = {}
"""Held by the threads that fork at this moment."""


def _before_fork() -> None:
    # A child has its parent's memory as it is then, but not the thread. One that is at
    # rest ends: from 3.12 on, Python warns of forks with threads.
    go_on = _FORKING[threading.get_ident()] = threading.Lock()
    go_on.acquire()
    _LOOPS[-1].rest(go_on)


def _after_in_parent() -> None:
    go_on = _FORKING.pop(threading.get_ident(), None)
    if go_on is not None:  # pragma: no branch - imported elsewhere during the fork
        go_on.release()


def _after_in_child() -> None:
    _FORKING.clear()
    _LOOPS[-1].give_up()
    _LOOPS.append(SharedLoop())


def _at_exit() -> None:
    _LOOPS[-1].close()


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_in_parent,
        after_in_child=_after_in_child,
    )
