"""
`covered`: the events that a picture of some promises shows.

The picture covers the time from the first to the last event of its promises, and up to
now while one of them is pending. All starts and ends of their processes within that
time are shown. It is longer at both ends by what explains it: a process that was
dead when it began, and one that died of what it had just done.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from dp_core.notebook._journal import ENDS, JournalEvent, PromiseKey

__all__ = ["covered"]


def covered(events: Iterable[JournalEvent], ids: Iterable[str]) -> list[JournalEvent]:
    """
    Return the events of these promises, and of their processes meanwhile.

    Args:
        events: In the order of their times.
        ids: The promises; all that are known if there is none.
    """
    events, named = list(events), frozenset(ids)
    if not named:
        return events
    own = [event for event in events if event.id in named]
    if not own:
        return []
    processes = {event.process for event in own}
    theirs = [event for event in events if event.process in processes]
    first = min(_entry(_of(theirs, name), named, own[0].at) for name in processes)
    last = math.inf
    if not _pending(own):
        last = own[-1].at
        # Whatever comes behind that has to do with another promise.
        then = min((e.at for e in events if e.id and e.at > last), default=math.inf)
        last = max(_exit(_of(theirs, name), named, last, then) for name in processes)
    return [
        event
        for event in events
        if event.id in named
        or (not event.id and event.process in processes and first <= event.at <= last)
    ]


def _of(events: list[JournalEvent], process: str) -> list[JournalEvent]:
    return [event for event in events if event.process == process]


def _entry(events: list[JournalEvent], named: frozenset[str], first: float) -> float:
    """
    Return when the picture of one process begins.

    If it died after it had to do with another promise, that is with its death: the
    picture's process is the one that came back.
    """
    entry = first
    for event in events:
        if event.at >= first:
            break
        if event.id and event.id not in named:
            entry = first
        elif event.kind in ENDS:
            entry = min(entry, event.at)
    return entry


def _exit(
    events: list[JournalEvent], named: frozenset[str], last: float, then: float
) -> float:
    """
    Return when the picture of one process ends.

    If it died before the notebook went on to another promise, that is with its death;
    or if it waits. The end of the fleet, when all is done, belongs to no other promise.
    """
    waits = 0
    mine = False
    for event in events:
        if event.id in named:
            mine = True
            waits += (event.kind == "awaiting") - (event.kind in ("got", "left"))
        elif event.id:
            mine = False
        elif event.kind in ENDS:
            died_of_it = event.at < then and event.kind != "stopped"
            if event.at > last and mine and (waits or died_of_it):
                return event.at
            mine, waits = False, 0
    return last


def _pending(events: list[JournalEvent]) -> bool:
    """Tell whether one of the promises is pending, as far as was reported."""
    settled: dict[PromiseKey, bool] = {}
    for event in events:
        known = settled.get(event.key, False)
        settled[event.key] = event.kind != "disposed" and (
            known or event.state in ("resolved", "rejected")
        )
    return not all(settled.values())
