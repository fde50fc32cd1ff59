"""
A peer process: an IPython kernel that lives no longer than its notebook.

Run as ``python -P -m dp_core.notebook._peer -f CONNECTION_FILE``.
"""

from __future__ import annotations

import os
from threading import Thread
from typing import Final

from ipykernel.kernelapp import IPKernelApp
from traitlets.config import Config

__all__ = ["LIFELINE", "PROCESS"]

PROCESS: Final = "DP_NOTEBOOK_PROCESS"
"""Names the environment variable with the process's name."""

LIFELINE: Final = "DP_NOTEBOOK_LIFELINE"
"""Names the one with the descriptor that ends when the notebook does."""


def _die_with_notebook(fd: int) -> None:
    # Nobody writes: this returns when the last writer, the notebook's kernel,
    # is gone, however it went. ipykernel itself asks once a second, and not
    # reliably where orphans are adopted by another process than init.
    os.read(fd, 1)
    os._exit(1)


def main() -> None:
    """Be a kernel."""
    if fd := os.environ.pop(LIFELINE, ""):
        Thread(target=_die_with_notebook, args=(int(fd),), daemon=True).start()
    config = Config()
    config.HistoryManager.enabled = False
    IPKernelApp.launch_instance(config=config)


if __name__ == "__main__":
    main()
