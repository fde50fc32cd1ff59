"""`serving` and `cpu_seconds`: a ``dp serve`` for a benchmark, and what it costs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")


@contextmanager
def serving(store: str) -> Iterator[tuple[str, int]]:
    """Run a server until the block ends; yield its URL and its process."""
    command = ["-m", "dp_core", "serve", "--url", store, "--port", "0"]
    with subprocess.Popen(
        [sys.executable, *command], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found
        try:
            yield found[0], process.pid
        finally:
            process.terminate()


def cpu_seconds(*pids: int) -> float:
    """Return what processes have used of the CPU, by proc(5)."""
    ticks = 0
    for pid in pids:
        text = Path(f"/proc/{pid}/stat").read_text("ascii")
        fields = text.rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / _TICKS
