"""
Write down what the operating system tells this process of its children's ends.

Imported by Python itself at its start, where this directory is on ``PYTHONPATH``. Each
line of the file that ``DP_WAIT_STATUS`` names is a pid and its wait status.
"""

from __future__ import annotations

import os
from pathlib import Path

_waitpid = os.waitpid


def _noted(pid: int, options: int) -> tuple[int, int]:
    found, status = _waitpid(pid, options)
    if found:
        with Path(os.environ["DP_WAIT_STATUS"]).open("a", encoding="ascii") as file:
            file.write(f"{found} {status}\n")
    return found, status


if "DP_WAIT_STATUS" in os.environ:
    os.waitpid = _noted
