"""``%load_ext dp_core.notebook``: in the notebook, and in each of its processes."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict
from typing import Final

from IPython.core.interactiveshell import InteractiveShell

from dp_core.notebook._job import EVENT_TYPE
from dp_core.notebook._journal import JOURNAL, NOTEBOOK, Event
from dp_core.notebook._magics import add_magics, remove_magics
from dp_core.notebook._patience import Patience
from dp_core.notebook._peer import PROCESS
from dp_core.notebook._recorder import Recorder
from dp_core.notebook._stop import shorten_errors, wake_on_signals

__all__ = ["load_ipython_extension", "unload_ipython_extension"]

_UNDO: Final[list[Callable[[], object]]] = []


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Set up a notebook, or a process of one."""
    process = os.environ.get(PROCESS)
    recorder = (
        Recorder(process, _sender(shell)) if process else Recorder(NOTEBOOK, _note)
    )
    recorder.install()
    shorten_errors(shell)
    _UNDO.extend([recorder.uninstall, wake_on_signals()])
    if not process:
        add_magics(shell)
        _UNDO.append(lambda: remove_magics(shell))


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Undo it."""
    shell.set_custom_exc((), None)  # type: ignore[no-untyped-call]
    while _UNDO:
        _UNDO.pop()()


def _sender(shell: InteractiveShell) -> Callable[[Event], None]:
    """Return what reports events to the notebook, as output of the running cell."""

    def send(event: Event) -> None:
        shell.display_pub.publish({EVENT_TYPE: asdict(event)})

    return send


_PATIENCE: Final = Patience()


def _note(event: Event) -> None:
    JOURNAL.add(event)
    _PATIENCE.hear(event)
