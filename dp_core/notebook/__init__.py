"""
Notebooks in which kernels are the processes.

.. code-block:: python

    %load_ext dp_core.notebook
    from dp_core.notebook import Fleet

    fleet = Fleet("alice", "bob")
    await fleet.start()         # two processes with pids of their own

Then ``%%on alice`` runs a cell in one of them, ``%promises`` shows what stands,
and the Stop button works on a cell that awaits. Install it with
``pip install 'durable-promises[notebook]'``.
"""

from __future__ import annotations

try:
    from dp_core.notebook._extension import (
        load_ipython_extension,
        unload_ipython_extension,
    )
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"{error}; notebooks need: pip install 'durable-promises[notebook]'",
        name=error.name,
    ) from None
from dp_core.notebook._board import Board, board
from dp_core.notebook._diagram import StateDiagram, state_diagram
from dp_core.notebook._errors import (
    FleetError,
    ProcessBusyError,
    ProcessDiedError,
    ProcessFailedError,
    ProcessStartError,
    UnknownProcessError,
)
from dp_core.notebook._fleet import Fleet
from dp_core.notebook._job import Result
from dp_core.notebook._journal import JOURNAL, Event, Journal
from dp_core.notebook._lanes import Lanes, lanes
from dp_core.notebook._lesson import Question, check
from dp_core.notebook._watch import watch

__all__ = [
    "JOURNAL",
    "Board",
    "Event",
    "Fleet",
    "FleetError",
    "Journal",
    "Lanes",
    "ProcessBusyError",
    "ProcessDiedError",
    "ProcessFailedError",
    "ProcessStartError",
    "Question",
    "Result",
    "StateDiagram",
    "UnknownProcessError",
    "board",
    "check",
    "lanes",
    "load_ipython_extension",
    "state_diagram",
    "unload_ipython_extension",
    "watch",
]

# Reprs and tracebacks say the names by which readers import them.
for _name in __all__:
    if getattr(globals()[_name], "__module__", "").startswith(f"{__name__}._"):
        globals()[_name].__module__ = __name__
