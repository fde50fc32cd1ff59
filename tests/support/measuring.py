"""`UNMEASURED`: processes in which branches are not counted, as in all others."""

from __future__ import annotations

from typing import Final

__all__ = ["UNMEASURED"]

UNMEASURED: Final = {"COVERAGE_PROCESS_CONFIG": ""}
"""
Environment of processes whose end is what is tried, which coverage would change.

As it ends, coverage writes a file: system calls to be killed at, on a disk or in
memory that a test has taken away.
"""
