"""
Proof of durability, by killing processes: for backends that promise to keep.

.. code-block:: python

    from dp_core.testing.crash import crash_sweep

    report = await crash_sweep(lambda: f"sqlite:{next(new_paths)}")
    print(report)  # how often which operation was killed

It needs strace(1) and a store that several processes can open by its URL.
With a `Disk` it also proves that a store survives power cuts; that needs root
and a loop device:

.. code-block:: python

    with Disk(directory) as disk:
        await crash_sweep(
            lambda: f"sqlite:{disk.root}/{next(names)}",
            after_kill=disk.cut_power,
            reader=True,
        )
"""

from __future__ import annotations

from dp_core.testing._crash import CHILD, crash_sweep
from dp_core.testing._crash_child import Acknowledge, Perform, serve
from dp_core.testing._crash_disk import Disk
from dp_core.testing._crash_lane import (
    EVERY_CALL,
    WRITING_CALLS,
    Ended,
    Lane,
    Point,
    missing_tools,
)
from dp_core.testing._crash_model import SCENARIOS, Scenario, Step
from dp_core.testing._crash_report import (
    KEEPS,
    STUCK,
    TORN,
    VANISHED,
    WAKES,
    CrashError,
    CrashReport,
)

__all__ = [
    "CHILD",
    "EVERY_CALL",
    "KEEPS",
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
    "crash_sweep",
    "missing_tools",
    "serve",
]


def _show_public_names() -> None:
    """Let reprs and tracebacks say the names by which users import these."""
    for name in __all__:
        value = globals()[name]
        if getattr(value, "__module__", "").startswith("dp_core.testing._crash"):
            value.__module__ = __name__


_show_public_names()
