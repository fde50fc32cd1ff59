"""`FleetError` and its subclasses: errors about the processes of a notebook."""

from __future__ import annotations

from dp_core._errors import DurablePromiseError
from dp_core._text import coloured, for_terminal, quoted

__all__ = [
    "FleetError",
    "ProcessBusyError",
    "ProcessDiedError",
    "ProcessFailedError",
    "ProcessNameError",
    "ProcessStartError",
    "UnknownProcessError",
    "VariableError",
]


class FleetError(DurablePromiseError):
    """Base of the errors about the processes of a notebook."""

    def _render_traceback_(self) -> list[str]:
        """Show the sentence alone in IPython; the traceback is not the reader's."""
        return [f"{type(self).__name__}: {self}"]


class ProcessNameError(FleetError, ValueError):
    """
    A name cannot be that of a process.

    Attributes:
        process: The name.
        reason: What is wrong with it, or what it means already.
    """

    def __init__(self, process: object, reason: str) -> None:
        super().__init__(process, reason)
        self.process = process
        self.reason = reason

    def __str__(self) -> str:
        shown = self.process if isinstance(self.process, str) else repr(self.process)
        return f"not a valid name of a process: {quoted(shown)} ({self.reason})"


class ProcessStartError(FleetError):
    """
    A process did not start.

    Attributes:
        process: Its name.
        reason: The reason, and what to do.
    """

    def __init__(self, process: str, reason: str) -> None:
        super().__init__(process, reason)
        self.process = process
        self.reason = reason

    def __str__(self) -> str:
        return f"process {self.process} did not start: {for_terminal(self.reason)}"


class ProcessDiedError(FleetError):
    """
    A process ended while it ran a cell.

    Attributes:
        process: Its name.
        pid: Its number.
    """

    def __init__(self, process: str, pid: int) -> None:
        super().__init__(process, pid)
        self.process = process
        self.pid = pid

    def __str__(self) -> str:
        return (
            f"process {self.process} ({self.pid}) died; "
            f"await fleet.restart({self.process!r}) brings it back"
        )


class ProcessBusyError(FleetError):
    """
    A process was given a cell while it still runs another.

    Attributes:
        process: Its name.
        doing: Its activity, in words: "is running", "waits for 'id'".
    """

    def __init__(self, process: str, doing: str) -> None:
        super().__init__(process, doing)
        self.process = process
        self.doing = doing

    def __str__(self) -> str:
        return (
            f"process {self.process} is still busy ({self.doing}); "
            f"await fleet.join({self.process!r}), or interrupt or kill it"
        )


class ProcessFailedError(FleetError):
    """
    A cell raised an error in a process.

    Attributes:
        process: The process's name.
        error: The error as ``Name: text``.
        lines: Its traceback, as the process showed it.
    """

    def __init__(self, process: str, error: str, lines: tuple[str, ...] = ()) -> None:
        super().__init__(process, error, lines)
        self.process = process
        self.error = error
        self.lines = lines

    def __str__(self) -> str:
        return f"in process {self.process}: {for_terminal(self.error)}"

    def _render_traceback_(self) -> list[str]:
        """Show the traceback of the process in IPython, not our own."""
        lines = "\n".join(self.lines or (self.error,)).split("\n")
        return [f"In process {self.process}:", *map(coloured, lines)]


class UnknownProcessError(FleetError, LookupError):
    """
    There is no process of that name.

    Attributes:
        process: The name.
        known: The names of the running processes.
    """

    def __init__(self, process: str, known: tuple[str, ...]) -> None:
        super().__init__(process, known)
        self.process = process
        self.known = known

    def __str__(self) -> str:
        there = ", ".join(self.known) or "none; start some with Fleet(...).start()"
        return f"there is no process {quoted(self.process)}; running are: {there}"


class VariableError(FleetError, ValueError):
    """
    A variable of the notebook cannot be sent to a process.

    Attributes:
        variable: Its name.
        reason: The reason, and what to do.
    """

    def __init__(self, variable: str, reason: str) -> None:
        super().__init__(variable, reason)
        self.variable = variable
        self.reason = reason

    def __str__(self) -> str:
        reason = for_terminal(self.reason)
        return f"variable {quoted(self.variable)} cannot be sent to a process: {reason}"
