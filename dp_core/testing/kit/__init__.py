"""
The tools that laws are made of, for those who write laws of their own.

A `Law` is an async function that gets a `LawContext`. The context opens
`StoreHandle` s; each of their methods starts a `BackendCall`, which can be held,
cancelled or delayed at any of its checkpoints (`Schedule`), and whose result is
judged by ``await call.gives(...)``. A `Judge` tries laws on a store; what it
finds is a `Report`.

.. code-block:: python

    from dp_core import Resolved
    from dp_core.testing import check_backend
    from dp_core.testing.kit import SETTLE, LawContext, law


    @law(SETTLE)
    async def settling_twice_is_harmless(context: LawContext) -> None:
        "A settler that repeats its settle gets the same outcome."
        handle, id = await context.open(), context.id()
        for _ in range(2):
            await handle.settle(id, Resolved(b"1")).gives(Resolved(b"1"))


    await check_backend(
        open_backend, durable=True, shared=True, laws=[settling_twice_is_harmless]
    )
"""

from __future__ import annotations

from dp_core._public import publish
from dp_core.testing.kit._backend_calls import BackendCall, CallLog
from dp_core.testing.kit._context import LawContext, StoreHandle
from dp_core.testing.kit._history import Span, render
from dp_core.testing.kit._judge import IsThere, Judge, Progress, check_names
from dp_core.testing.kit._law import Law, LawCheck, law
from dp_core.testing.kit._report import (
    ConformanceError,
    LawBrokenError,
    NotJudgedError,
    Report,
    StoreGoneError,
    Violation,
)
from dp_core.testing.kit._results import (
    CANCELLED,
    DISPOSED,
    DONE,
    PENDING,
    RUNNING,
    CallResult,
    CallStatus,
    Given,
    check_result,
    shown,
)
from dp_core.testing.kit._run import (
    ConformanceRun,
    Effort,
    OpenBackend,
    Outage,
    Tempo,
    abilities_of,
)
from dp_core.testing.kit._sentences import (
    BYTES,
    CANCEL,
    CANCELLABLE,
    CLOSE,
    CLOSED,
    CLOSED_WAIT,
    CONCURRENT,
    CONTRACT,
    DISPOSE,
    DISPOSE_DURABLE,
    DISPOSED_WAIT,
    FIRST_TERMS,
    FIRST_WINS,
    FORGETS_TERMS,
    IDS,
    INFO,
    LATE_LOSES,
    LISTED,
    LISTING,
    NO_LOST_WAKE_UP,
    ORDER,
    OVER,
    PASSING,
    PEEK,
    RECOVERY,
    SETTLE,
    STAYS,
    SURVIVES,
    TOLD,
    TWICE,
    WATCH_CLOSED,
    WATCH_LASTS,
    WATCH_LEAVES,
    WATCH_TELLS,
    WATCHED,
)
from dp_core.testing.kit._stepping import (
    AbandonedError,
    LoopBlockedError,
    Schedule,
    step_through,
)
from dp_core.testing.kit._watchdog import no_files_left

__all__ = [
    "BYTES",
    "CANCEL",
    "CANCELLABLE",
    "CANCELLED",
    "CLOSE",
    "CLOSED",
    "CLOSED_WAIT",
    "CONCURRENT",
    "CONTRACT",
    "DISPOSE",
    "DISPOSED",
    "DISPOSED_WAIT",
    "DISPOSE_DURABLE",
    "DONE",
    "FIRST_TERMS",
    "FIRST_WINS",
    "FORGETS_TERMS",
    "IDS",
    "INFO",
    "LATE_LOSES",
    "LISTED",
    "LISTING",
    "NO_LOST_WAKE_UP",
    "ORDER",
    "OVER",
    "PASSING",
    "PEEK",
    "PENDING",
    "RECOVERY",
    "RUNNING",
    "SETTLE",
    "STAYS",
    "SURVIVES",
    "TOLD",
    "TWICE",
    "WATCHED",
    "WATCH_CLOSED",
    "WATCH_LASTS",
    "WATCH_LEAVES",
    "WATCH_TELLS",
    "AbandonedError",
    "BackendCall",
    "CallLog",
    "CallResult",
    "CallStatus",
    "ConformanceError",
    "ConformanceRun",
    "Effort",
    "Given",
    "IsThere",
    "Judge",
    "Law",
    "LawBrokenError",
    "LawCheck",
    "LawContext",
    "LoopBlockedError",
    "NotJudgedError",
    "OpenBackend",
    "Outage",
    "Progress",
    "Report",
    "Schedule",
    "Span",
    "StoreGoneError",
    "StoreHandle",
    "Tempo",
    "Violation",
    "abilities_of",
    "check_names",
    "check_result",
    "law",
    "no_files_left",
    "render",
    "shown",
    "step_through",
]


publish(__name__, __all__)
