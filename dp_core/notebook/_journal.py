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

__all__ = [
    "ENDS",
    "JOURNAL",
    "NOTEBOOK",
    "Journal",
    "JournalEvent",
    "Kind",
    "PromiseKey",
]

Kind = Literal[
    "started",  # the process is there
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
    "killed",  # the process died of a signal
    "ended",  # the process ended by itself
    "stopped",  # the process was stopped by the fleet
]

ENDS: Final[frozenset[Kind]] = frozenset({"killed", "ended", "stopped"})
"""The kinds of events after which a process is gone."""

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
        text: The value's JSON text, or the message, shortened; how a process ended,
            as "signal 9" or "exit code 1".
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

        An event about a process alone belongs to that process, whatever promise it
        has to do with: a process has its starts and ends wherever it is looked at.
        """
        events = list(self)
        if not ids:
            return events
        concerned = {event.process for event in events if event.id in ids}
        return [
            event
            for event in events
            if event.id in ids or (not event.id and event.process in concerned)
        ]


JOURNAL: Final = Journal()
"""The journal of this notebook."""
