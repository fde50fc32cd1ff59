"""`Status`: the exit codes of ``dp``, and the state that each one says."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any, Final

from dp_core._states import Pending, Rejected, Resolved

__all__ = ["STATUS_OF", "Status"]


class Status(IntEnum):
    """The state of the promise after a command; the program's exit code."""

    RESOLVED = 0
    REJECTED = 1
    FAILED = 2
    """Not known: a usage error, or the store could not be asked."""
    PENDING = 3
    INTERRUPTED = 130
    """Not known: interrupted by Ctrl-C, as shells say it (128 + SIGINT)."""


STATUS_OF: Final[Mapping[type[Any], Status]] = {
    Resolved: Status.RESOLVED,
    Rejected: Status.REJECTED,
    Pending: Status.PENDING,
}
"""``{state: its exit code}``."""
