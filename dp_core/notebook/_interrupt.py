"""
`wake_on_signals` and `shorten_errors`: Stop ends a cell that awaits, in few words.

Stop sends SIGINT, and ipykernel's handler asks the event loop to cancel the cell. It
asks with ``call_soon``, which does not wake a loop that sleeps in ``select``, so that
an awaiting cell goes on until something else happens (ipython/ipykernel#881). Python
itself can wake the loop: ``signal.set_wakeup_fd`` writes a byte to a socket at every
signal, and the loop watches that socket.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any, Final

from IPython.core.interactiveshell import InteractiveShell

from dp_core._errors import DurablePromiseError

__all__ = ["shorten_errors", "wake_on_signals"]

_LIBRARY: Final = ("dp_core", "dp_backends", "anyio", "asyncio")


def wake_on_signals() -> Callable[[], None]:
    """
    Let signals wake the running event loop; return a function that undoes it.

    Does nothing where that is not possible: outside of the main thread, without an
    event loop, or where another wake-up descriptor is set already.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return lambda: None
    watched, written = socket.socketpair()
    for end in (watched, written):
        end.setblocking(False)  # noqa: FBT003 - its only argument

    def drain() -> None:
        with suppress(BlockingIOError):
            watched.recv(4096)

    def undo() -> None:
        loop.remove_reader(watched)
        with suppress(ValueError):
            if signal.set_wakeup_fd(-1) != written.fileno():
                # Another descriptor was set after ours, and is not ours to close.
                return
        watched.close()
        written.close()

    try:
        loop.add_reader(watched, drain)
        before = signal.set_wakeup_fd(written.fileno(), warn_on_full_buffer=False)
    except (ValueError, NotImplementedError):
        watched.close()
        written.close()
        return lambda: None
    if before != -1:
        signal.set_wakeup_fd(before)
    # A `trio.run` in a cell sets its own socket meanwhile and ours again at its end,
    # as it should; but it warns that there was one.
    warnings.filterwarnings(
        "ignore",
        message="It looks like Trio's signal handling",
        category=RuntimeWarning,
    )
    return undo


def shorten_errors(shell: InteractiveShell) -> None:
    """Show only the reader's own lines of errors of this library, and of Stop."""
    shell.set_custom_exc((asyncio.CancelledError, DurablePromiseError), _show)  # type: ignore[no-untyped-call] # IPython's


def _show(
    shell: InteractiveShell,
    etype: type[BaseException],
    value: BaseException,
    traceback: TracebackType | None,
    tb_offset: int | None = None,
) -> list[str]:
    if isinstance(value, asyncio.CancelledError):
        lines = ["Stopped. No promise was changed by that; run the cell again."]
    elif hasattr(value, "_render_traceback_"):
        lines = value._render_traceback_()
    else:
        with _alone(value):
            lines = shell.InteractiveTB.structured_traceback(
                etype, value, _readers_part(traceback), tb_offset=tb_offset
            )
    shell._showtraceback(etype, value, lines)  # noqa: SLF001 - IPython's protocol
    return lines


@contextmanager
def _alone(error: BaseException) -> Iterator[None]:
    """Hide the error's cause: its own text says what to do."""
    cause, suppressed = error.__cause__, error.__suppress_context__
    error.__cause__ = None
    try:
        yield
    finally:
        error.__cause__, error.__suppress_context__ = cause, suppressed


def _readers_part(traceback: Any) -> TracebackType | None:
    """Return the traceback up to the point where the reader's code calls us."""
    frames: list[TracebackType] = []
    while traceback is not None:
        module = traceback.tb_frame.f_globals.get("__name__", "")
        if module.partition(".")[0] in _LIBRARY and frames:
            break
        frames.append(traceback)
        traceback = traceback.tb_next
    short: TracebackType | None = None
    for frame in reversed(frames):
        short = TracebackType(short, frame.tb_frame, frame.tb_lasti, frame.tb_lineno)
    return short
