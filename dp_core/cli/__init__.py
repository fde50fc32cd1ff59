"""
The command line: ``dp peek|get|resolve|reject|dispose|serve|backends``.

An exit code says what stands after the command, so that a shell script can
branch on it: see `Status`.
"""

from dp_core._public import publish
from dp_core.cli._main import main
from dp_core.cli._output import Status

__all__ = ["Status", "main"]

publish(__name__, __all__)
