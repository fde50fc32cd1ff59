"""Clocks of other processes, which a test sets: by libfaketime."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from support.file.sweeps import missing

__all__ = [
    "SettableClock",
    "faketime_library",
    "forget_faketime",
    "need_faketime",
    "shared_by_faketime",
]

SHARED: Final = Path("/dev/shm")  # noqa: S108 - where POSIX shared memory is on Linux


def need_faketime() -> None:
    """Skip where there is no libfaketime; fail in CI."""
    missing(None if shutil.which("faketime") else "no faketime")


def faketime_library() -> str:
    """Return the path of libfaketime, for ``LD_PRELOAD``."""
    ask = ["faketime", "-f", "+0", "printenv", "LD_PRELOAD"]
    return subprocess.check_output(ask, text=True).strip()


def shared_by_faketime(pid: int) -> list[Path]:
    """Return what libfaketime shares in memory for one process and its children."""
    names = f"faketime_shm_{pid}", f"sem.faketime_sem_{pid}"
    return [path for name in names if (path := SHARED / name).exists()]


def forget_faketime(pid: int) -> None:
    """
    Remove what a process that is dead has left of it; by itself only an exit does.

    It would stop the next process that gets this number.
    """
    for path in shared_by_faketime(pid):
        path.unlink()


class SettableClock:
    """
    The clock of processes that are started from now on.

    Args:
        directory: Where it is kept how far it is ahead.
        monkeypatch: By which processes get it.
    """

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._file = directory / "clock"
        self.set("+0")
        monkeypatch.setenv("LD_PRELOAD", faketime_library())
        monkeypatch.setenv("FAKETIME_TIMESTAMP_FILE", str(self._file))
        monkeypatch.setenv("FAKETIME_NO_CACHE", "1")
        # Durations are measured as everywhere.
        monkeypatch.setenv("DONT_FAKE_MONOTONIC", "1")

    def set(self, ahead: str) -> None:
        """Let it be so far ahead of the others, as in ``+7s``, ``+3d``, ``-1h``."""
        new = self._file.with_suffix(".new")
        new.write_text(ahead)
        new.replace(self._file)
