"""
`crash_sweep`: a proof of durability that kills processes.

.. code-block:: python

    from dp_core.testing.crash import crash_sweep

    report = await crash_sweep(lambda: f"lmdb:{next(new_paths)}")
    print(report)  # how often which operation was killed

`failed_fsync_sweep` kills nobody: it lets each fsync fail once, and the same handle
must go on.

It needs strace(1) and a store that several processes can open by its URL.
With a `Disk` it also proves that a store survives power cuts; that needs root
and a loop device:

.. code-block:: python

    with Disk(directory) as disk:
        await crash_sweep(
            lambda: f"lmdb:{disk.root}/{next(names)}",
            after_kill=disk.cut_power,
            reader=True,
        )
"""

from __future__ import annotations

from dp_core._public import publish
from dp_core.testing.crash._child import Acknowledge, Perform, serve
from dp_core.testing.crash._disk import Disk
from dp_core.testing.crash._fsyncs import failed_fsync_sweep
from dp_core.testing.crash._model import SCENARIOS, Scenario, Step
from dp_core.testing.crash._report import (
    KEEPS,
    RECOVERS,
    STUCK,
    TORN,
    VANISHED,
    WAKES,
    CrashError,
    CrashReport,
)
from dp_core.testing.crash._sweep import CHILD, crash_sweep
from dp_core.testing.crash._victims import (
    EVERY_CALL,
    WRITING_CALLS,
    Ended,
    Point,
    VictimRunner,
    missing_tools,
)

__all__ = [
    "CHILD",
    "EVERY_CALL",
    "KEEPS",
    "RECOVERS",
    "SCENARIOS",
    "STUCK",
    "TORN",
    "VANISHED",
    "WAKES",
    "WRITING_CALLS",
    "Acknowledge",
    "CrashError",
    "CrashReport",
    "Disk",
    "Ended",
    "Lane",
    "Perform",
    "Point",
    "Scenario",
    "Step",
    "VictimRunner",
    "crash_sweep",
    "failed_fsync_sweep",
    "missing_tools",
    "serve",
]

Lane = VictimRunner
"""The former name of `VictimRunner`."""


publish(__name__, __all__)
