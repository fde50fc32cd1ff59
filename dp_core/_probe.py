"""
`probe`: try whether a backend loads, in a process of its own.

A plugin may do anything when it is imported: end the process without an exception,
crash in machine code, print, or never come back. ``dp backends`` tells of all
plugins, so it loads those of others in children.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Final

from dp_core._errors import DurablePromiseError
from dp_core._plugins import find_factory

__all__ = ["answer", "probe", "probe_here"]

_PATIENCE: Final = 30
"""The longest time that a plugin may take to load, in seconds."""

_CHILD: Final = (
    "import json, sys; sys.path[:], scheme = json.loads(sys.argv[1]); "
    "from dp_core._probe import answer; answer(scheme)"
)


def probe(scheme: str) -> str | None:
    """Return the reason why a backend cannot be used, or None."""
    if getattr(sys, "frozen", False):
        return probe_here(scheme)  # There is no interpreter to start.
    try:
        done = subprocess.run(  # noqa: S603 - it is this program
            [sys.executable, "-c", _CHILD, json.dumps([sys.path, scheme])],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"its plugin takes longer than {_PATIENCE} s to load"
    except OSError as error:
        return f"no process can be started to try it: {error.strerror}"
    try:
        failure: str | None = json.loads(done.stdout)
    except ValueError:
        return f"its plugin ends the process that loads it (status {done.returncode})"
    return failure


def probe_here(scheme: str) -> str | None:
    """Return the reason why a backend cannot be used, or None, in this process."""
    try:
        find_factory(scheme, f"{scheme}:")
    except DurablePromiseError as error:
        return str(error)
    return None


def answer(scheme: str) -> None:
    """Write the result of `probe_here` on stdout, whatever a plugin prints there."""
    stdout = os.dup(1)
    os.dup2(2, 1)
    os.write(stdout, json.dumps(probe_here(scheme)).encode())
    # Not the interpreter's end: a plugin may have left a thread.
    os._exit(0)
