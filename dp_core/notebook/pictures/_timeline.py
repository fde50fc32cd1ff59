"""
`Timeline`: the events of a journal, put in order by process and by promise.

It has a `ProcessTrack` for each process, with a `TrackSpan` for each of its waits and
settles, and a `PromiseSummary` for each promise. Boards and lanes are drawn from it.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, final

from dp_core.notebook._journal import ENDS, NOTEBOOK, JournalEvent, PromiseKey
from dp_core.notebook.pictures._look import STYLE_OF_WORD, StateStyle

__all__ = ["ProcessTrack", "PromiseSummary", "Timeline", "TrackSpan"]

_SETTLED = ("resolved", "rejected")

_BEGINS = ("awaiting", "settling")
_ENDS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("got", "left"), "awaiting"),
    **dict.fromkeys(("won", "refused", "failed"), "settling"),
}
"""The kinds with which a span ends, and the kind with which it began."""


@final
@dataclass(slots=True)
class TrackSpan:
    """
    One wait for a promise, or one settle of it, in one process.

    Attributes:
        begin: The event it began with.
        end: The event it ended with; None while it lasts.
        again: Whether the same process had done the same before.
    """

    begin: JournalEvent
    end: JournalEvent | None = None
    again: bool = False

    @property
    def waits(self) -> bool:
        """Whether it is a wait."""
        return self.begin.kind == "awaiting"


@final
@dataclass(slots=True)
class ProcessTrack:
    """
    One process and its events, also after it was killed and started again.

    Attributes:
        process: The process's name.
        pids: The numbers that it had, in their order.
        alive: Whether it is there.
        how_it_ended: "killed", "ended" or "stopped"; empty while it is there.
        events: In the order of their times.
        spans: In the order in which they began.
    """

    process: str
    pids: list[int] = field(default_factory=list)
    alive: bool = True
    how_it_ended: str = ""
    events: list[JournalEvent] = field(default_factory=list)
    spans: list[TrackSpan] = field(default_factory=list)
    # By kind and promise, the oldest first; also the empty ones of what is over.
    _open: dict[tuple[str, PromiseKey], deque[TrackSpan]] = field(default_factory=dict)

    @property
    def pid(self) -> int:
        """The number that it has or had last."""
        return self.pids[-1]

    @property
    def waits(self) -> list[TrackSpan]:
        """The spans that are waits."""
        return [span for span in self.spans if span.waits]

    @property
    def open_waits(self) -> list[TrackSpan]:
        """The waits that have not ended."""
        return [wait for wait in self.waits if wait.end is None]

    def add(self, event: JournalEvent) -> None:
        """Take in the next event of this process."""
        self.events.append(event)
        if event.pid not in self.pids:
            self.pids.append(event.pid)
        self.alive = event.kind not in ENDS
        self.how_it_ended = "" if self.alive else event.kind
        if not self.alive:
            for open_spans in self._open.values():
                while open_spans:
                    open_spans.popleft().end = event
        elif event.kind in _BEGINS:
            about = event.kind, event.key
            span = TrackSpan(event, again=about in self._open)
            self.spans.append(span)
            self._open.setdefault(about, deque()).append(span)
        elif spans := self._open.get((_ENDS.get(event.kind, ""), event.key)):
            spans.popleft().end = event


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
                track = tracks.setdefault(event.process, ProcessTrack(event.process))
                track.add(event)
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


def _order(item: tuple[str, ProcessTrack]) -> tuple[bool, list[tuple[int, str]]]:
    """Sort the notebook first, then by name, with "p10" behind "p9"."""
    name = item[0]
    # By the length of a number, because any name may come, and int() limits them.
    parts = re.split(r"([0-9]+)", name)
    numbered = [
        (len(part.lstrip("0")) if n % 2 else -1, part) for n, part in enumerate(parts)
    ]
    return name != NOTEBOOK, numbered
