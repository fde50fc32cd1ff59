"""A picture of some promises has the starts and ends of its processes meanwhile."""

from __future__ import annotations

import pytest

from dp_core.notebook import JournalEvent
from dp_core.notebook._cover import covered
from support.notebook.journal_events import EVENTS, event


def life(kind: str, process: str, at: float, pid: int = 0) -> JournalEvent:
    """Return the start or the end of a process."""
    found = event(kind, process, at)  # type: ignore[arg-type] # a literal
    return JournalEvent(process, pid or found.pid, found.kind, at=at)


def settle(process: str, id: str, at: float) -> list[JournalEvent]:
    """Return how a process settles a promise."""
    known = {"id": id, "state": "resolved", "text": "1"}
    return [
        event("settling", process, at, id=id),
        event("won", process, at + 0.1, **known),
    ]


BARRIER = [
    life("started", "ann", 0.0),
    life("started", "ben", 0.1),
    *settle("ann", "approval", 1),
    event("refused", "ben", 2, id="approval", state="resolved"),
    life("killed", "ben", 10, 1),
    *settle("ann", "arrived-ann", 11),
    event("awaiting", "ann", 12, id="arrived-ben"),
    life("started", "ben", 13, 2),
    *settle("ben", "arrived-ben", 14),
    event("got", "ann", 14.2, id="arrived-ben", state="resolved"),
    life("stopped", "ann", 20),
    life("stopped", "ben", 20, 2),
]


def test_a_barrier_shows_who_was_killed_and_came_back() -> None:
    """
    The death of a process before its first event is shown, and its new start.

    What another promise had to do with it last makes no difference.
    """
    shown = covered(BARRIER, ("arrived-ann", "arrived-ben"))

    assert BARRIER[5:13] == shown


def test_what_was_before_and_is_after_is_left_out() -> None:
    """A process that was there all the time has no start; the fleet's end is later."""
    assert BARRIER[2:6] == covered(BARRIER, ["approval"])
    assert [*BARRIER] == covered(BARRIER, ())
    assert [] == covered(BARRIER, ["unknown"])


@pytest.mark.parametrize("kind", ["killed", "ended"])
def test_who_dies_of_it_is_shown_dead(kind: str) -> None:
    """
    The end of a process right after its last event belongs to it, and not more.

    After anybody has gone on to another promise, it was something else.
    """
    own = settle("bob", "id", 1)
    events = [*own, life(kind, "bob", 2), life("started", "bob", 3, 2)]

    assert events[:3] == covered(events, ["id"])
    for anybody in ("bob", "alice"):
        later = [*own, event("peeked", anybody, 1.5, id="other"), *events[2:]]
        assert own == covered(later, ["id"])


def test_who_waits_is_shown_until_it_is_stopped() -> None:
    """The end of a fleet ends the waits of its processes."""
    own = [*settle("bob", "id", 1), event("awaiting", "alice", 1.05)]
    stopped = [life("stopped", "alice", 5), life("stopped", "bob", 5.5)]

    assert [*own, stopped[0]] == covered([*own, *stopped], ["id"])


def test_the_time_of_a_pending_promise_goes_on() -> None:
    """As long as one promise is pending, all that happens to its processes counts."""
    pending = EVENTS[:7]
    later = [life("started", "carol", 8, 2), life("killed", "bob", 9)]
    disposed = [*EVENTS, event("disposed", "bob", 5), *later]

    assert pending[3:] == [e for e in covered(pending, ["id"]) if e.at >= 0.5]
    assert later[:1] == covered([*pending, *later], ["id"])[-1:]
    assert later == covered(disposed, ["id"])[-2:]
