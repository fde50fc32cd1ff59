"""
A peer process: an IPython kernel that lives no longer than its notebook.

Run as ``python -P -m dp_core.notebook._peer -f CONNECTION_FILE``.
"""

from __future__ import annotations

import sys
from typing import Final

from ipykernel.kernelapp import IPKernelApp
from traitlets.config import Config

from dp_core.notebook._pipes import die_with_notebook

__all__ = ["PROCESS"]

PROCESS: Final = "DP_NOTEBOOK_PROCESS"
"""Names the environment variable with the process's name."""


def main() -> None:
    """Be a kernel."""
    die_with_notebook()
    # Imports from here on are the reader's, and may be of files beside the notebook.
    sys.path.insert(0, "")
    config = Config()
    config.HistoryManager.enabled = False
    IPKernelApp.launch_instance(config=config)


if __name__ == "__main__":
    main()
