"""Make sense of events: who waited for what from when to when, and what came of it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import final

from dp_core._display import LOOK_OF_WORD, Look
from dp_core.notebook._journal import NOTEBOOK, Event, Key

__all__ = ["Lane", "Story", "Tale", "Wait"]

_SETTLED = ("resolved", "rejected")


@final
@dataclass(slots=True)
class Wait:
    """
    Somebody waiting for a promise.

    Attributes:
        begin: The event it began with.
        end: The event it ended with; None while it lasts.
        again: Whether the same process had awaited the same promise before.
    """

    begin: Event
    end: Event | None = None
    again: bool = False


@final
@dataclass(slots=True)
class Lane:
    """What one process did, through all its lives."""

    process: str
    pid: int = 0
    alive: bool = True
    how_it_ended: str = ""
    events: list[Event] = field(default_factory=list)
    waits: list[Wait] = field(default_factory=list)

    @property
    def open_waits(self) -> list[Wait]:
        return [wait for wait in self.waits if wait.end is None]

    def close(self, event: Event) -> None:
        """End the oldest open wait that *event* is about; all if it died."""
        fatal = event.kind in ("killed", "stopped")
        for wait in self.open_waits:
            if fatal or wait.begin.key == event.key:
                wait.end = event
                if not fatal:
                    return


@final
@dataclass(slots=True)
class Tale:
    """
    What became of one promise, as far as the processes told.

    Attributes:
        key: Its store and its id.
        state: "pending", "resolved" or "rejected".
        text: The value's JSON text, or the message, shortened.
        settler: The process that settled it; empty if that is not known.
        refused: The processes that came too late.
        outcomes: Everything it was seen to have settled to; more than one
            would be a broken promise, unless it was disposed of.
    """

    key: Key
    state: str = "pending"
    text: str = ""
    settler: str = ""
    refused: list[str] = field(default_factory=list)
    outcomes: list[tuple[str, str]] = field(default_factory=list)

    @property
    def look(self) -> Look:
        return LOOK_OF_WORD[self.state]

    def learn(self, event: Event) -> None:
        if event.kind == "disposed":
            self.state, self.text, self.settler, self.refused = "pending", "", "", []
        if event.state in _SETTLED:
            self.state, self.text = event.state, event.text
            outcome = (event.state, event.text)
            if outcome not in self.outcomes:
                self.outcomes.append(outcome)
        if event.kind == "won" and not self.settler:
            self.settler = event.process
        if event.kind == "refused":
            self.refused.append(event.process)


@final
class Story:
    """
    The lanes of processes and the tales of promises that *events* tell.

    Args:
        events: In the order of their times.
    """

    def __init__(self, events: Iterable[Event]) -> None:
        self.events = list(events)
        self.lanes: dict[str, Lane] = {}
        self.tales: dict[Key, Tale] = {}
        for event in self.events:
            self._hear(event)
        self.lanes = dict(sorted(self.lanes.items(), key=_order))

    def _hear(self, event: Event) -> None:
        if event.id:
            self.tales.setdefault(event.key, Tale(event.key)).learn(event)
        if event.process:
            self._hear_process(event)

    def _hear_process(self, event: Event) -> None:
        lane = self.lanes.setdefault(event.process, Lane(event.process))
        lane.events.append(event)
        lane.pid = event.pid
        lane.alive = event.kind not in ("killed", "stopped")
        lane.how_it_ended = "" if lane.alive else event.kind
        if event.kind == "awaiting":
            before = any(wait.begin.key == event.key for wait in lane.waits)
            lane.waits.append(Wait(event, again=before))
        elif event.kind in ("got", "left", "killed", "stopped"):
            lane.close(event)

    def waiting_for(self, key: Key) -> list[str]:
        """Return the processes that wait for a promise."""
        return [
            lane.process
            for lane in self.lanes.values()
            if any(wait.begin.key == key for wait in lane.open_waits)
        ]

    def wakes(self) -> list[tuple[Event, Event]]:
        """Return each completion with every wait that it ended."""
        found = []
        for won in self._first_wins():
            found += [
                (won, wait.end)
                for lane in self.lanes.values()
                for wait in lane.waits
                if wait.end is not None
                and wait.end.kind == "got"
                and wait.end.text == won.text
                and wait.begin.key == won.key
                and wait.begin.at <= won.at
            ]
        return found

    def _first_wins(self) -> list[Event]:
        wins, settled = [], set()
        for event in self.events:
            if event.kind == "disposed":
                settled.discard(event.key)
            elif event.kind == "won" and event.key not in settled:
                settled.add(event.key)
                wins.append(event)
        return wins


def _order(item: tuple[str, Lane]) -> tuple[bool, list[tuple[int, str]]]:
    """Sort the notebook first, then by name, with "p10" behind "p9"."""
    name = item[0]
    parts = re.split(r"(\d+)", name)
    numbered = [(int(part) if part.isdigit() else -1, part) for part in parts]
    return name != NOTEBOOK, numbered
