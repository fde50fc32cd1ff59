"""
`main`: the program of a process, an IPython kernel that ends with its notebook.

Run as ``python -P -m dp_core.notebook.processes._kernel_main -f CONNECTION_FILE``.
"""

from __future__ import annotations

import sys

from ipykernel.kernelapp import IPKernelApp
from traitlets.config import Config

from dp_core.notebook.processes._pipes import die_with_notebook

__all__ = ["main"]


def main() -> None:
    """Run a kernel until its notebook is gone."""
    die_with_notebook()
    # Imports from here on are the reader's, and may be of files beside the notebook.
    sys.path.insert(0, "")
    config = Config()
    config.HistoryManager.enabled = False
    IPKernelApp.launch_instance(config=config)


if __name__ == "__main__":
    main()
