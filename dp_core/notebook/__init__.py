"""
Notebooks whose processes are real: kernels with pids of their own.

.. code-block:: python

    %load_ext dp_core.notebook
    from dp_core.notebook import Fleet

    fleet = Fleet("alice", "bob")
    await fleet.start()         # two processes

Then ``%%on alice`` runs a cell in one of them, ``%promises`` shows the states of
promises, and the Stop button works on a cell that awaits. Install it with
``pip install 'durable-promises[notebook]'``.
"""

from __future__ import annotations

from dp_core._extras import without_extra

try:
    from dp_core.notebook._extension import (
        load_ipython_extension,
        unload_ipython_extension,
    )
except ModuleNotFoundError as error:
    raise without_extra(error, "notebooks need", "notebook") from None
from dp_core._public import publish
from dp_core.notebook._journal import JOURNAL, Journal, JournalEvent
from dp_core.notebook.lessons import Question, Sealed, check, seal
from dp_core.notebook.pictures import (
    Board,
    Lanes,
    StateDiagram,
    board,
    lanes,
    state_diagram,
    watch,
)
from dp_core.notebook.processes import (
    CellResult,
    Fleet,
    FleetError,
    ProcessBusyError,
    ProcessDiedError,
    ProcessFailedError,
    ProcessNameError,
    ProcessStartError,
    UnknownProcessError,
    VariableError,
    process_name,
)

__all__ = [
    "JOURNAL",
    "Board",
    "CellResult",
    "Event",
    "Fleet",
    "FleetError",
    "Journal",
    "JournalEvent",
    "Lanes",
    "ProcessBusyError",
    "ProcessDiedError",
    "ProcessFailedError",
    "ProcessNameError",
    "ProcessStartError",
    "Question",
    "Result",
    "Sealed",
    "StateDiagram",
    "UnknownProcessError",
    "VariableError",
    "board",
    "check",
    "lanes",
    "load_ipython_extension",
    "process_name",
    "seal",
    "state_diagram",
    "unload_ipython_extension",
    "watch",
]

# Their names until 0.2.
Event = JournalEvent
Result = CellResult

publish(__name__, __all__, rooms=True)
