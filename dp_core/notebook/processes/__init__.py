"""Processes of a notebook: real kernels, which run cells and can be killed."""

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
from dp_core.notebook.processes._pipes import Pipes, process_name, reporter

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
    "reporter",
    "running",
]

publish(__name__, __all__)
