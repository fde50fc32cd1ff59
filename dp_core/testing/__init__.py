"""
The conformance kit: `check_backend` and `BackendSuite` try every law on a backend.

Three ways lead to the same laws:

.. code-block:: python

    report = await check_backend(open_backend, durable=True, shared=True)


    class TestMyBackend(BackendSuite):  # in pytest
        durable = shared = True

        @pytest.fixture
        def open_backend(self, tmp_path):
            return lambda: MyBackend(tmp_path)

and ``dp conformance http://localhost:8080``, for any server that speaks the wire.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from dp_core.testing._check import check_backend
    from dp_core.testing._deadlines import DeadlineClock
    from dp_core.testing.kit import (
        ConformanceError,
        Effort,
        Law,
        OpenBackend,
        Outage,
        Report,
        Violation,
    )
    from dp_core.testing.laws import LAWS
    from dp_core.testing.stateful import PromiseMachine
    from dp_core.testing.suite import BackendSuite
    from dp_core.testing.wire import check_wire

__all__ = [
    "LAWS",
    "BackendSuite",
    "ConformanceError",
    "DeadlineClock",
    "Effort",
    "Law",
    "OpenBackend",
    "Outage",
    "PromiseMachine",
    "Report",
    "Violation",
    "check_backend",
    "check_wire",
]

_HOMES: Final = {
    "LAWS": "laws",
    "BackendSuite": "suite",
    "ConformanceError": "kit",
    "DeadlineClock": "_deadlines",
    "Effort": "kit",
    "Law": "kit",
    "OpenBackend": "kit",
    "Outage": "kit",
    "PromiseMachine": "stateful",
    "Report": "kit",
    "Violation": "kit",
    "check_backend": "_check",
    "check_wire": "wire",
}
_INNER: Final = tuple(f"{__name__}.{room}" for room in ("kit", "_check", "_deadlines"))


def __getattr__(name: str) -> Any:
    # Each name is imported when it is first used: the pytest plugin, which
    # every test run of every project loads, needs none of them, and only two
    # of them need pytest or hypothesis.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    if getattr(value, "__module__", None) in _INNER:
        # Reprs and tracebacks show the name by which users import it.
        value.__module__ = __name__
    globals()[name] = value
    return value
