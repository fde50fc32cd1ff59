"""
The program ``dp``: `main` runs it, and `Status` is its exit code.

Packages that bring a command end its help by `examples`.

An exit code says the state of the promise after the command, so that a shell
script can branch on it.
"""

from dp_core._public import publish
from dp_core.cli._entry_point import main
from dp_core.cli._examples import examples
from dp_core.cli._status import Status

__all__ = ["Status", "examples", "main"]

publish(__name__, __all__)
