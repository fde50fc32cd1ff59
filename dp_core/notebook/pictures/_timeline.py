"""
`Timeline`: the events of a journal, put in order by process and by promise.

It has a `ProcessTrack` for each process, with its `WaitSpan` from begin to end, and
a `PromiseSummary` for each promise. Boards and lanes are drawn from it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import final

from dp_core.notebook._journal import NOTEBOOK, JournalEvent, PromiseKey
from dp_core.notebook.pictures._look import STYLE_OF_WORD, StateStyle

__all__ = ["ProcessTrack", "PromiseSummary", "Timeline", "WaitSpan"]

_SETTLED = ("resolved", "rejected")


@final
@dataclass(slots=True)
class WaitSpan:
    """
    One wait of a process for a promise.

    Attributes:
        begin: The event it began with.
        end: The event it ended with; None while it lasts.
        again: Whether the same process had waited for the same promise before.
    """

    begin: JournalEvent
    end: JournalEvent | None = None
    again: bool = False


@final
@dataclass(slots=True)
class ProcessTrack:
    """
    One process and its events, also after it was killed and started again.

    Attributes:
        process: The process's name.
        pid: The number that it has or had last.
        alive: Whether it is there.
        how_it_ended: "killed" or "stopped"; empty while it is there.
        events: In the order of their times.
        waits: In the order in which they began.
    """

    process: str
    pid: int = 0
    alive: bool = True
    how_it_ended: str = ""
    events: list[JournalEvent] = field(default_factory=list)
    waits: list[WaitSpan] = field(default_factory=list)

    @property
    def open_waits(self) -> list[WaitSpan]:
        """The waits that have not ended."""
        return [wait for wait in self.waits if wait.end is None]

    def close(self, event: JournalEvent) -> None:
        """End the oldest open wait for the event's promise; all if the process died."""
        fatal = event.kind in ("killed", "stopped")
        for wait in self.open_waits:
            if fatal or wait.begin.key == event.key:
                wait.end = event
                if not fatal:
                    return


@final
@dataclass(slots=True)
class PromiseSummary:
    """
    One promise, as far as the processes have reported.

    Attributes:
        key: Its store and its id.
        state: "pending", "resolved" or "rejected".
        text: The value's JSON text, or the message, shortened.
        settler: Who settled it: a process, with the name that it gave, or the
            deadline; empty if that is not known.
        deadline: When it settles by itself; empty if that is never, or not known.
        tags: Its tags, if they are known.
        refused: The processes whose settle came too late.
        outcomes: All outcomes that were seen; more than one would be a broken
            promise, unless it was disposed of.
    """

    key: PromiseKey
    state: str = "pending"
    text: str = ""
    settler: str = ""
    deadline: str = ""
    tags: str = ""
    refused: list[str] = field(default_factory=list)
    outcomes: list[tuple[str, str]] = field(default_factory=list)

    @property
    def style(self) -> StateStyle:
        """The style of its state."""
        return STYLE_OF_WORD[self.state]

    def update(self, event: JournalEvent) -> None:
        """Take in an event about this promise."""
        if event.kind == "disposed":
            self.state, self.text, self.settler, self.refused = "pending", "", "", []
            self.deadline, self.tags = "", ""
        if event.state in _SETTLED:
            self.state, self.text = event.state, event.text
            outcome = (event.state, event.text)
            if outcome not in self.outcomes:
                self.outcomes.append(outcome)
        if event.expired:
            self.settler = "the deadline"
        elif event.kind == "won" and not self.settler:
            self.settler = event.process
            if event.by:
                self.settler += f" as {event.by}"
        elif event.by and not self.settler:
            self.settler = event.by
        self.deadline = event.deadline or self.deadline
        self.tags = event.tags or self.tags
        if event.kind == "refused":
            self.refused.append(event.process)


@final
class Timeline:
    """
    The tracks of processes and the summaries of promises.

    Args:
        events: In the order of their times.

    Attributes:
        events: The same.
        tracks: ``{process: track}``, the notebook first, then by name.
        promises: ``{promise: summary}``, in the order in which they occur.
    """

    def __init__(self, events: Iterable[JournalEvent]) -> None:
        self.events = list(events)
        self.promises: dict[PromiseKey, PromiseSummary] = {}
        tracks: dict[str, ProcessTrack] = {}
        for event in self.events:
            if event.id:
                self._summary(event.key).update(event)
            if event.process:
                _extend(
                    tracks.setdefault(event.process, ProcessTrack(event.process)), event
                )
        self.tracks = dict(sorted(tracks.items(), key=_order))

    def _summary(self, key: PromiseKey) -> PromiseSummary:
        return self.promises.setdefault(key, PromiseSummary(key))

    def waiting_for(self, key: PromiseKey) -> list[str]:
        """Return the processes that wait for a promise."""
        return [
            track.process
            for track in self.tracks.values()
            if any(wait.begin.key == key for wait in track.open_waits)
        ]

    def wakes(self) -> list[tuple[JournalEvent, JournalEvent]]:
        """Return pairs: a settle that won, and the end of a wait that it ended."""
        return [
            (won, wait.end)
            for won in self._first_wins()
            for track in self.tracks.values()
            for wait in track.waits
            if wait.end is not None
            and wait.end.kind == "got"
            and wait.end.text == won.text
            and wait.begin.key == won.key
            and wait.begin.at <= won.at
        ]

    def _first_wins(self) -> list[JournalEvent]:
        wins, settled = [], set()
        for event in self.events:
            if event.kind == "disposed":
                settled.discard(event.key)
            elif event.kind == "won" and event.key not in settled:
                settled.add(event.key)
                wins.append(event)
        return wins


def _extend(track: ProcessTrack, event: JournalEvent) -> None:
    """Add an event to the track of its process."""
    track.events.append(event)
    track.pid = event.pid
    track.alive = event.kind not in ("killed", "stopped")
    track.how_it_ended = "" if track.alive else event.kind
    if event.kind == "awaiting":
        before = any(wait.begin.key == event.key for wait in track.waits)
        track.waits.append(WaitSpan(event, again=before))
    elif event.kind in ("got", "left", "killed", "stopped"):
        track.close(event)


def _order(item: tuple[str, ProcessTrack]) -> tuple[bool, list[tuple[int, str]]]:
    """Sort the notebook first, then by name, with "p10" behind "p9"."""
    name = item[0]
    # By the length of a number, because any name may come, and int() limits them.
    parts = re.split(r"([0-9]+)", name)
    numbered = [
        (len(part.lstrip("0")) if n % 2 else -1, part) for n, part in enumerate(parts)
    ]
    return name != NOTEBOOK, numbered
