"""
The conformance kit: prove a backend right, or see what is wrong with it.

Three ways lead to the same laws:

.. code-block:: python

    report = await check_backend(open_backend, durable=True, shared=True)


    class TestMyBackend(BackendSuite):  # in pytest
        durable = shared = True

        @pytest.fixture
        def open_backend(self, tmp_path):
            return lambda: MyBackend(tmp_path)

and ``dp conformance http://localhost:8080`` for anything that speaks the wire.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from dp_core.testing._check import check_backend
    from dp_core.testing._lab import Effort, OpenBackend
    from dp_core.testing._law import Law
    from dp_core.testing._report import ConformanceError, Report, Violation
    from dp_core.testing.laws import LAWS
    from dp_core.testing.stateful import PromiseMachine
    from dp_core.testing.suite import BackendSuite
    from dp_core.testing.wire import check_wire

__all__ = [
    "LAWS",
    "BackendSuite",
    "ConformanceError",
    "Effort",
    "Law",
    "OpenBackend",
    "PromiseMachine",
    "Report",
    "Violation",
    "check_backend",
    "check_wire",
]

_HOMES: Final = {
    "LAWS": "laws",
    "BackendSuite": "suite",
    "ConformanceError": "_report",
    "Effort": "_lab",
    "Law": "_law",
    "OpenBackend": "_lab",
    "PromiseMachine": "stateful",
    "Report": "_report",
    "Violation": "_report",
    "check_backend": "_check",
    "check_wire": "wire",
}


def __getattr__(name: str) -> Any:
    # Each name is imported when it is used: the pytest plugin, which every
    # test run of every project loads, needs none; only two need pytest or
    # hypothesis.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    if getattr(value, "__module__", "").startswith(f"{__name__}._"):
        # Reprs and tracebacks say the name by which users import it.
        value.__module__ = __name__
    globals()[name] = value
    return value
