"""The program whose processes are killed: ``python -m dp_core.testing.crash``."""

from __future__ import annotations

import sys

import anyio

from dp_core import connect
from dp_core.testing.crash._child import perform_on, serve

if __name__ == "__main__":
    loop = (*sys.argv, "asyncio")[1]
    anyio.run(anyio.sleep, 0, backend=loop)
    # Making a handle does no I/O, but it loads the backend.
    serve(perform_on(loop), warm_up=connect)
