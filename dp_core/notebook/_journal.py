"""
What happened: events that processes report, collected in one place.

Everything that is shown, boards and lanes alike, is drawn from these; nothing is
made up. Times are of the monotonic clock, which all processes of a machine share
(clock_gettime(2)), so events of different processes can be put in order.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, Literal, final

__all__ = ["JOURNAL", "NOTEBOOK", "Event", "Journal", "Key", "Kind"]

Kind = Literal[
    "started",  # the process is there
    "peeked",
    "awaiting",
    "got",  # an await ended with what the promise settled to
    "left",  # an await ended without: cancelled, timed out, disposed of
    "settling",
    "won",  # what stands is what this process asked for
    "refused",  # it is not: somebody else was first
    "failed",  # the store could not say
    "disposed",
    "killed",  # the process is gone: kill -9, or by itself
    "stopped",  # the process was told to end
]

NOTEBOOK: Final = "notebook"
"""What the notebook's own process is called."""

Key = tuple[str, str]
"""A promise: its store's URL and its id."""


@final
@dataclass(frozen=True, slots=True)
class Event:
    """
    One thing that happened in one process.

    Attributes:
        process: The process's name; empty for what was found by asking the
            store.
        pid: Its number.
        kind: What happened.
        id: The promise's id; empty if it is about the process alone.
        store: The store's URL.
        state: What the promise's state was found to be: "pending", "resolved",
            "rejected"; empty if that was not asked.
        text: The value's JSON text, or the message, shortened.
        at: When, in seconds of the monotonic clock.
    """

    process: str
    pid: int
    kind: Kind
    id: str = ""
    store: str = ""
    state: str = ""
    text: str = ""
    at: float = field(default_factory=time.monotonic)

    @property
    def key(self) -> Key:
        return self.store, self.id


@final
class Journal:
    """Events in the order of their times, and who wants to hear of new ones."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self.listeners: list[Callable[[Event], object]] = []

    def add(self, event: Event) -> None:
        self._events.append(event)
        for listener in tuple(self.listeners):
            listener(event)

    def __iter__(self) -> Iterator[Event]:
        # Reports of different processes arrive out of order.
        return iter(sorted(self._events, key=lambda event: event.at))

    def about(self, *ids: str) -> list[Event]:
        """
        Return the events of these promises, and of their processes; all by default.

        What happens to a process belongs to the promise that it last had to do
        with, so that the story of one promise ends when the next one begins.
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
            # Being told to end, when all is done, is no part of any story.
            if event.process not in concerned or event.kind == "stopped":
                continue
            if about is None or about in ids:
                found.append(event)
        return found


JOURNAL: Final = Journal()
"""The journal of this notebook."""
