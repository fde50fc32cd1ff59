"""
`call`, `wait` and `hold`: async code, for a thread that is blocked until it ends.

A call that comes alone is run by the calling thread: that costs the least, and needs
nothing that is missing after a fork or at the end of the interpreter. Calls that come
together, and all that wait, are run by one thread for all: they share connections,
batches and looks, and thousands of blocked threads need no event loop each.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import sys
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, Final, TypeVar

from dp_core._errors import EventLoopRunningError
from dp_core.sync._block import Block
from dp_core.sync._lone_loop import LoneLoop
from dp_core.sync._loop_thread import LoopThread, NoThreadError

__all__ = ["call", "hold", "wait"]

T = TypeVar("T")


class _Loops:
    """
    The event loops of one process.

    Attributes:
        lone: The one for a call that comes alone; None at the end of the interpreter,
            when nobody would close it.
        thread: The one for all others.
    """

    def __init__(self) -> None:
        self.lone: LoneLoop | None = LoneLoop()
        self.thread = LoopThread()


_LOOPS: Final = [_Loops()]
"""
The loops of this process come last, after those of the processes it was forked from.

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
    Return or raise what a coroutine function does that waits for nobody.

    Args:
        written: How one writes this with `dp_core`, in an event loop.
        function: The function.
        arguments: What it is called with.
        named: The same, by name.

    Raises:
        EventLoopRunningError: An event loop runs in this thread.
    """
    loops = _loops_here(written)
    make = partial(function, *arguments, **named)
    lone = loops.lone
    if lone is None or not lone.take():
        return _wait(loops, make)
    try:
        return lone.run(make())
    finally:
        lone.leave()


def wait(
    written: str,
    function: Callable[..., Coroutine[Any, Any, T]],
    *arguments: object,
) -> T:
    """Return or raise what a coroutine function does that waits; see `call`."""
    return _wait(_loops_here(written), partial(function, *arguments))


def _wait(loops: _Loops, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
    try:
        begun = loops.thread.begin(make)
    except NoThreadError:
        own = LoneLoop()
        try:
            return own.run(make())
        finally:
            own.close()
    return begun.result()


def hold(written: str, manager: AbstractAsyncContextManager[object]) -> Block | None:
    """
    Enter an async context manager until `Block.leave`; see `call`.

    Returns:
        The block; None where a thread to hold it cannot be started.
    """
    try:
        return Block(_loops_here(written).thread, manager)
    except NoThreadError:
        return None


def _loops_here(written: str) -> _Loops:
    """
    Return the loops of this process.

    Raises:
        EventLoopRunningError: Another event loop runs in this thread.
    """
    loops = _LOOPS[-1]
    try:
        running = asyncio.get_running_loop()
    except RuntimeError:
        trio = sys.modules.get("trio")
        if trio is None or not trio.lowlevel.in_trio_run():
            return loops
    else:
        # A signal handler has come between a call of this thread: the thread serves it.
        if loops.lone is not None and loops.lone.is_loop(running):
            return loops
    raise EventLoopRunningError(written)


def _before_fork() -> None:
    # Without it, a process that is at rest forks with one thread more than it knows of:
    # Python warns of that from 3.12 on.
    _LOOPS[-1].thread.rest()


def _after_in_child() -> None:
    _LOOPS.append(_Loops())


def _at_exit() -> None:
    loops = _LOOPS[-1]
    lone, loops.lone = loops.lone, None
    loops.thread.close()
    if lone is not None and lone.take():
        lone.close()


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_child=_after_in_child)
