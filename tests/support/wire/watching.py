"""`Watching`: an observer that keeps what it is told of operations and requests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from dp_core.instrumentation import Finished, RequestFinished, RequestStarted, Started

__all__ = ["Watching"]


class Watching:
    """
    An observer that keeps all events, and asks for headers.

    Args:
        headers: Those for which it asks.

    Attributes:
        headers: As given.
        then: What it does when a request has ended.
        events: What it was told.
    """

    def __init__(self, headers: Mapping[str, str] = {}) -> None:
        self.headers = headers
        self.then: Callable[[], object] = list
        self.events: list[Started | Finished | RequestStarted | RequestFinished] = []

    def started(self, event: Started) -> None:
        self.events.append(event)

    def finished(self, event: Finished) -> None:
        self.events.append(event)

    def request_started(self, event: RequestStarted) -> Mapping[str, str]:
        self.events.append(event)
        return self.headers

    def request_finished(self, event: RequestFinished) -> None:
        self.events.append(event)
        self.then()

    def of(self, kind: type[Any]) -> list[Any]:
        """Return the events of a kind."""
        return [event for event in self.events if isinstance(event, kind)]

    def asked(self, route: str) -> RequestStarted:
        """Return the beginning of the last request of a route."""
        found: RequestStarted
        *_, found = (e for e in self.of(RequestStarted) if e.route == route)
        return found

    def ended(self, route: str) -> RequestFinished | None:
        """Return the end of the last request of a route, if it has one."""
        number = self.asked(route).number
        for event in self.of(RequestFinished):
            if event.number == number:
                assert isinstance(event, RequestFinished)
                return event
        return None
