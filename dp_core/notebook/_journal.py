"""
`Journal`: the events that processes report, in the order of their times.

Boards and lanes are drawn from these events and from nothing else. Times are of the
monotonic clock, which all processes of a machine share (clock_gettime(2)), so that
events of different processes can be put in order.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, Literal, final

__all__ = ["JOURNAL", "NOTEBOOK", "Journal", "JournalEvent", "Kind", "PromiseKey"]

Kind = Literal[
    "started",  # the process is ready
    "peeked",
    "awaiting",  # a wait begins
    "got",  # a wait ended with the outcome
    "left",  # a wait ended without it: cancelled, timed out, disposed of
    "settling",  # a resolve or reject begins
    "won",  # it ended, and the outcome is the one that this process asked for
    "refused",  # it ended, and the outcome is another one
    "failed",  # it ended without an outcome
    "disposed",
    "created",  # the terms that stand are known from then on
    "killed",  # the process died
    "stopped",  # the process was stopped by the fleet
]

NOTEBOOK: Final = "notebook"
"""The name of the notebook's own process."""

PromiseKey = tuple[str, str]
"""The store's URL and the id of a promise."""


@final
@dataclass(frozen=True, slots=True)
class JournalEvent:
    """
    One event in one process.

    Attributes:
        process: The process's name; empty for the answer of a store to the
            notebook's own question.
        pid: The process's number.
        kind: The kind of event.
        id: The promise's id; empty if the event is about the process alone.
        store: The store's URL.
        state: The state that the store reported: "pending", "resolved",
            "rejected"; empty if it reported none.
        text: The value's JSON text, or the message, shortened.
        by: Who settled it, as they said; empty if they did not.
        expired: Whether the store reported that its deadline settled it.
        deadline: When it settles by itself, as RFC 3339 has it; empty for never.
        tags: Its tags, as ``key=value``, separated by commas, shortened.
        at: The time, in seconds of the monotonic clock.
    """

    process: str
    pid: int
    kind: Kind
    id: str = ""
    store: str = ""
    state: str = ""
    text: str = ""
    by: str = ""
    expired: bool = False
    deadline: str = ""
    tags: str = ""
    at: float = field(default_factory=time.monotonic)

    @property
    def key(self) -> PromiseKey:
        """The promise that the event is about."""
        return self.store, self.id


@final
class Journal:
    """
    Events in the order of their times.

    Attributes:
        listeners: Called with each event that is added.
    """

    def __init__(self) -> None:
        self._events: list[JournalEvent] = []
        self.listeners: list[Callable[[JournalEvent], object]] = []

    def add(self, event: JournalEvent) -> None:
        """Add an event, and call the listeners with it."""
        self._events.append(event)
        for listener in tuple(self.listeners):
            listener(event)

    def __iter__(self) -> Iterator[JournalEvent]:
        # Reports of different processes arrive out of order.
        return iter(sorted(self._events, key=lambda event: event.at))

    def about(self, *ids: str) -> list[JournalEvent]:
        """
        Return the events of these promises, and of their processes; all by default.

        An event about a process alone belongs to the promise that the process last
        had an event about, so that a chart of one promise ends where the next one
        begins.
        """
        events = list(self)
        if not ids:
            return events
        concerned = {event.process for event in events if event.id in ids}
        last: dict[str, str] = {}
        found = []
        for event in events:
            if event.id:
                last[event.process] = event.id
            about = last.get(event.process)
            # The end of the fleet, when all is done, belongs to no promise.
            if event.process not in concerned or event.kind == "stopped":
                continue
            if about is None or about in ids:
                found.append(event)
        return found


JOURNAL: Final = Journal()
"""The journal of this notebook."""
