"""
`probe`: try whether a plugin loads, in a process of its own.

A plugin may do anything when it is imported: end the process without an exception,
crash in machine code, print, or never come back. ``dp backends`` and ``dp doctor``
tell of all plugins, so they load those of others in children.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Final

from dp_core._errors import DurablePromiseError, UnknownBackendError
from dp_core._plugins._installed import PluginFailure, installed_plugins
from dp_core._plugins._opening import find_factory
from dp_core.hookspecs import COMMANDS

__all__ = ["answer", "probe", "probe_command", "probe_here"]

_PATIENCE: Final = 30
"""The longest time that a plugin may take to load, in seconds."""

_CHILD: Final = (
    "import json, sys; sys.path[:], kind, name = json.loads(sys.argv[1]); "
    "from dp_core._plugins._probe import answer; answer(kind, name)"
)


def probe(scheme: str) -> str | None:
    """Return the reason why a backend cannot be used, or None."""
    if getattr(sys, "frozen", False):
        return probe_here(scheme)  # There is no interpreter to start.
    return _ask_child("backend", scheme)


def probe_command(name: str) -> str | None:
    """Return the reason why the module of a command cannot be loaded, or None."""
    if getattr(sys, "frozen", False):
        return _command_here(name)
    return _ask_child("command", name)


def _ask_child(kind: str, name: str) -> str | None:
    try:
        done = subprocess.run(  # noqa: S603 - it is this program
            [sys.executable, "-c", _CHILD, json.dumps([sys.path, kind, name])],
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
    except UnknownBackendError as error:
        return error.reason  # Which scheme it is stands before it.
    except DurablePromiseError as error:
        return str(error)
    return None


def _command_here(name: str) -> str | None:
    claims = [plugin for plugin in installed_plugins(COMMANDS) if plugin.name == name]
    if len(claims) > 1:
        packages = " and ".join(sorted(plugin.package for plugin in claims))
        return f"it is brought by {packages}; uninstall one of them"
    try:
        for plugin in claims:
            plugin.load()
    except (PluginFailure, DurablePromiseError) as failure:
        return str(failure)
    return None


_KINDS: Final = {"backend": probe_here, "command": _command_here}


def answer(kind: str, name: str) -> None:
    """Write the result of trying a plugin on stdout, whatever it prints there."""
    stdout = os.dup(1)
    os.dup2(2, 1)
    os.write(stdout, json.dumps(_KINDS[kind](name)).encode())
    # Not the interpreter's end: a plugin may have left a thread.
    os._exit(0)
