"""Programs of these tests, run as processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys

from support.sqlite.sweeps import environment

__all__ = ["run", "start"]


def start(module: str, *words: str, mutant: str | None = None) -> subprocess.Popen[str]:
    """Start a program of these tests."""
    return subprocess.Popen(
        [sys.executable, "-m", module, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environment(mutant),
    )


def run(module: str, *words: str, mutant: str | None = None) -> str:
    """
    Run a program of these tests; return what it prints.

    Raises:
        AssertionError: It failed.
    """
    with start(module, *words, mutant=mutant) as program:
        printed, complaint = program.communicate(timeout=120)
    assert 0 == program.returncode, complaint
    return printed
