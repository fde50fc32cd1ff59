"""
`Meter`: counts and times of one app, in the forms of Prometheus.

No label is of a client's: operations, outcomes, statuses and classes of errors are a
few, and ids are none of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias, final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.exposition import choose_encoder

__all__ = ["Gauges", "Meter"]

_Number: TypeAlias = Callable[[], float]

_SECONDS: Final = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
)
"""Bounds of the histogram: a commit takes a millisecond on one disk, 50 on another."""

# What is answered is named by what was asked, and has to be fit for a head.
_PLAIN_ACCEPT: Final = re.compile(r"[A-Za-z0-9/;=.,*+ _-]{0,500}")


@final
@dataclass(frozen=True, slots=True)
class Gauges:
    """
    Numbers of the moment.

    Attributes:
        waiters: Requests that wait, streams among them.
        streams: Event streams.
        watched: Promises of all event streams together.
        callbacks: Callbacks that are not delivered yet.
    """

    waiters: _Number
    streams: _Number
    watched: _Number
    callbacks: _Number


_HELP: Final[Mapping[str, tuple[str, str]]] = {
    "waiters": ("dp_waiters", "Requests that wait, event streams among them"),
    "streams": ("dp_streams", "Event streams"),
    "watched": ("dp_watched_promises", "Promises of all event streams together"),
    "callbacks": ("dp_callbacks_pending", "Callbacks that are not delivered yet"),
}


@final
class Meter:
    """
    Counts and times of one app; two in one process have one each.

    Args:
        gauges: Numbers of the moment.
    """

    def __init__(self, gauges: Gauges) -> None:
        self._registry = registry = CollectorRegistry(auto_describe=True)
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        self._operations = Counter(
            "dp_operations",
            "Operations on promises, by what came of them",
            ("operation", "outcome"),
            registry=registry,
        )
        self._seconds = Histogram(
            "dp_operation_seconds",
            "Seconds that the store took; a wait is not among them",
            ("operation",),
            registry=registry,
            buckets=_SECONDS,
        )
        self._failures = Counter(
            "dp_store_errors",
            "Failures of the store, by operation and class of the error",
            ("operation", "error"),
            registry=registry,
        )
        self._refused = Counter(
            "dp_requests_refused",
            "Requests that were answered by a failure, by status",
            ("status",),
            registry=registry,
        )
        self._known: dict[tuple[str, str], tuple[Counter, Histogram]] = {}
        for attribute, (name, text) in _HELP.items():
            gauge = Gauge(name, text, registry=registry)
            gauge.set_function(getattr(gauges, attribute))

    def done(self, operation: str, outcome: str, seconds: float | None = None) -> None:
        """
        Count an operation.

        Args:
            operation: Its name.
            outcome: What came of it: a state, or ``done``, or ``failed``.
            seconds: How long the store took; None for a wait.
        """
        counted = self._known.get((operation, outcome))
        if counted is None:
            # To find them by their labels takes longer than to count.
            counted = (
                self._operations.labels(operation, outcome),
                self._seconds.labels(operation),
            )
            self._known[operation, outcome] = counted
        counted[0].inc()
        if seconds is not None:
            counted[1].observe(seconds)

    def failed(self, operation: str, error: Exception) -> None:
        """Count a failure of the store."""
        self._failures.labels(operation, type(error).__name__).inc()

    def refused(self, status: int) -> None:
        """Count a request that was answered by a failure."""
        self._refused.labels(str(status)).inc()

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """
        Return all numbers as text, and the media type.

        Args:
            accept: The header ``Accept``: OpenMetrics is asked for by it.
        """
        asked = accept if _PLAIN_ACCEPT.fullmatch(accept) else ""
        try:
            encode, media_type = choose_encoder(asked)
        except (TypeError, ValueError):
            # A version that is not a number.
            encode, media_type = choose_encoder("")
        return encode(self._registry), media_type
