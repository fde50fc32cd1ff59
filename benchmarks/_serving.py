"""`serving`: a ``dp serve`` for a benchmark."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


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
