"""
The command line: ``dp peek|get|resolve|reject|dispose|serve|backends``.

An exit code says what stands after the command, so that a shell script can
branch on it; ``dp --help`` lists them.
"""

from dp_core.cli._main import main

__all__ = ["main"]
