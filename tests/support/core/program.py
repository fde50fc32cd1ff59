"""The program ``dp``, and all that a caller of it can notice."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PROGRAM = (sys.executable, "-m", "dp_core")
SCRIPTS = Path(sys.executable).parent

UNMEASURED = {"COVERAGE_PROCESS_CONFIG": ""}
"""
Environment of processes whose end is what is tried, in which no branches are counted.

As it ends, coverage writes a file: system calls to be killed at, on a disk or in
memory that a test has taken away.
"""

Done = subprocess.CompletedProcess[bytes]
Run = Callable[..., Done]


def said(done: Done) -> tuple[int, bytes, bytes]:
    """Return everything that a caller of the program can notice."""
    return done.returncode, done.stdout, done.stderr


@contextmanager
def running(*arguments: str, env: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run the program as long as a block, and no longer."""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [*PROGRAM, *arguments], env=env, stdout=pipe, stderr=pipe
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_until_watching(pid: int) -> None:
    """Return when the process watches its store, and so is waiting."""
    descriptors = Path(f"/proc/{pid}/fd")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for descriptor in descriptors.iterdir():
            try:
                if "inotify" in str(descriptor.readlink()):
                    return
            except FileNotFoundError:
                continue
        time.sleep(0.01)
    pytest.fail("the process does not watch its store")
