"""The IPython extension: for the notebook, and for each of its processes."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any, Final

from IPython.core.interactiveshell import InteractiveShell

from dp_core._promise import DurablePromise
from dp_core.instrumentation import add_observer, remove_observer
from dp_core.notebook._interrupt import shorten_errors, wake_on_signals
from dp_core.notebook._journal import JOURNAL, JournalEvent
from dp_core.notebook._magics import add_magics, remove_magics
from dp_core.notebook._recorder import Recorder
from dp_core.notebook.pictures import WaitingNotices, promise_bundle
from dp_core.notebook.processes import WAITS, process_name, reporter
from dp_core.wire import write_moment

__all__ = ["load_ipython_extension", "unload_ipython_extension"]

_UNDO: Final[list[Callable[[], object]]] = []


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Set up a notebook, or a process of one."""
    report = reporter()
    receive = _to_notebook(shell, report) if report else _to_journal
    recorder = Recorder(process_name(), receive)
    add_observer(recorder)
    _UNDO.append(lambda: remove_observer(recorder))
    _UNDO.append(_show_promises(shell, recorder))
    shorten_errors(shell)
    _UNDO.append(wake_on_signals())
    if report is None:
        add_magics(shell)
        _UNDO.append(lambda: remove_magics(shell))


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Undo `load_ipython_extension`."""
    shell.set_custom_exc((), None)  # type: ignore[no-untyped-call] # IPython's
    while _UNDO:
        _UNDO.pop()()


def _show_promises(shell: InteractiveShell, recorder: Recorder) -> Callable[[], object]:
    """Let a promise show its last known state; return what undoes that."""

    def bundle(promise: DurablePromise[Any], **_: object) -> dict[str, str]:
        known = recorder.last_known((promise.url, promise.id))
        state, value = (known.state, known.text) if known else (None, "")
        deadline = promise.terms and promise.terms.deadline
        until = write_moment(deadline) if deadline else ""
        return promise_bundle(promise.id, promise.url, state, value, until)

    display: Any = shell.display_formatter
    formatter = display.mimebundle_formatter
    formatter.for_type(DurablePromise, bundle)
    return lambda: formatter.pop(DurablePromise)


def _to_notebook(
    shell: InteractiveShell, report: Callable[[JournalEvent], None]
) -> Callable[[JournalEvent], None]:
    told: set[asyncio.AbstractEventLoop] = set()

    def tell() -> None:
        # The notebook's cell may return now, after all output up to here.
        sys.stdout.flush()
        shell.display_pub.publish({WAITS: {}})

    def tell_once(loop: asyncio.AbstractEventLoop) -> None:
        told.discard(loop)
        tell()

    def receive(event: JournalEvent) -> None:
        report(event)
        if event.kind != "awaiting":
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            tell()  # Another event loop, which may wait in this very turn.
            return
        # Who waits for thousands begins all these waits in one turn, and says so once.
        if loop not in told:
            told.add(loop)
            loop.call_soon(tell_once, loop)

    return receive


_NOTICES: Final = WaitingNotices()


def _to_journal(event: JournalEvent) -> None:
    JOURNAL.add(event)
    _NOTICES.hear(event)
