"""
Processes of a notebook: real kernels, which run cells and can be killed.

================ ==================================================
``_fleet``       named processes; ``_resources`` is what they share
``_process``     one name, and the kernel that has it
``_kernel``      a kernel: started, asked, killed
``_kernel_main`` the program that runs in it
``_end_watch``   when and how it ends
``_cell``        a cell that runs in a process
``_collect``     the wait for cells of several
``_variables``   values that come along
``_pipes``       how processes report to the notebook
``_errors``      what can go wrong
================ ==================================================
"""

from dp_core._public import publish
from dp_core.notebook.processes._cell import WAITS, CellResult
from dp_core.notebook.processes._errors import (
    FleetError,
    ProcessBusyError,
    ProcessDiedError,
    ProcessFailedError,
    ProcessNameError,
    ProcessStartError,
    UnknownProcessError,
    VariableError,
)
from dp_core.notebook.processes._fleet import Fleet, fleet_of, running
from dp_core.notebook.processes._pipes import Pipes, process_name, removal, reporter

__all__ = [
    "WAITS",
    "CellResult",
    "Fleet",
    "FleetError",
    "Pipes",
    "ProcessBusyError",
    "ProcessDiedError",
    "ProcessFailedError",
    "ProcessNameError",
    "ProcessStartError",
    "UnknownProcessError",
    "VariableError",
    "fleet_of",
    "process_name",
    "removal",
    "reporter",
    "running",
]

publish(__name__, __all__)
