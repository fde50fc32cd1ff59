"""``%load_ext dp_core.notebook``: in the notebook, and in each of its processes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Final

from IPython.core.interactiveshell import InteractiveShell

from dp_core.notebook._job import WAITS
from dp_core.notebook._journal import JOURNAL, NOTEBOOK, Event
from dp_core.notebook._magics import add_magics, remove_magics
from dp_core.notebook._patience import Patience
from dp_core.notebook._peer import PROCESS
from dp_core.notebook._pipes import reporter
from dp_core.notebook._recorder import Recorder
from dp_core.notebook._stop import shorten_errors, wake_on_signals

__all__ = ["load_ipython_extension", "unload_ipython_extension"]

_UNDO: Final[list[Callable[[], object]]] = []


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Set up a notebook, or a process of one."""
    report = reporter()
    tell = _peer_tells(shell, report) if report else _note
    recorder = Recorder(os.environ.get(PROCESS, NOTEBOOK), tell)
    recorder.install()
    shorten_errors(shell)
    _UNDO.extend([recorder.uninstall, wake_on_signals()])
    if report is None:
        add_magics(shell)
        _UNDO.append(lambda: remove_magics(shell))


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Undo it."""
    shell.set_custom_exc((), None)  # type: ignore[no-untyped-call]
    while _UNDO:
        _UNDO.pop()()


def _peer_tells(
    shell: InteractiveShell, report: Callable[[Event], None]
) -> Callable[[Event], None]:
    def tell(event: Event) -> None:
        report(event)
        if event.kind == "awaiting":
            # The notebook's cell may come back now, and with all that was said.
            sys.stdout.flush()
            shell.display_pub.publish({WAITS: {}})

    return tell


_PATIENCE: Final = Patience()


def _note(event: Event) -> None:
    JOURNAL.add(event)
    _PATIENCE.hear(event)
