"""`Serving`: the parts that the answers of one app share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeVar, final

from anyio import CapacityLimiter

from dp_core.backend import Backend, in_thread
from dp_core.server._answering._batch import BatchAnswers
from dp_core.server._answering._health import Health
from dp_core.server._answering._operations import Operations
from dp_core.server._answering._shared import SharedAnswers
from dp_core.server._guarding import Guard
from dp_core.server._observing import Meter
from dp_core.server._routing import Response
from dp_core.server._waiting import Changes, Places, Streams, Waits

__all__ = ["Serving"]

T = TypeVar("T")

_SLOW_BODY_BYTES: Final = 32 * 1024
"""The length from which reading a body takes longer than a hop to a thread."""


@final
@dataclass(frozen=True, slots=True)
class Serving:
    """
    Parts that the answers of one app share.

    Attributes:
        backend: The backend.
        guard: Says who may do what.
        operations: Calls, done on the backend.
        batches: Many calls at once.
        waits: Requests that wait for one promise.
        streams: Requests that wait for many.
        places: All requests that are held.
        changes: Says when what is in the store may have changed.
        pages: Pages that many look at.
        health: Says whether the store answers.
        meter: Counts and times.
        largest: The largest value to accept, in bytes of JSON text.
        description: Returns what the server answers as an OpenAPI document, given the
            path below which the app is mounted.
    """

    backend: Backend
    guard: Guard
    operations: Operations
    batches: BatchAnswers
    waits: Waits
    streams: Streams
    places: Places
    changes: Changes
    health: Health
    meter: Meter
    largest: int
    description: Callable[[str], bytes]
    pages: SharedAnswers[Response] = field(default_factory=SharedAnswers)
    _readers: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(1))

    async def parsed(self, read: Callable[[], T], body: bytes) -> T:
        """Return what *read* makes of a body; beside the event loop if that is long."""
        if len(body) < _SLOW_BODY_BYTES:
            return read()
        # A megabyte of small items takes a tenth of a second, for which the whole
        # event loop would stand still.
        return await in_thread(read, limiter=self._readers)
