"""The journal puts events in order, and finds those of a promise."""

from __future__ import annotations

from dp_core.notebook import Journal, JournalEvent
from support.notebook.journal_events import EVENTS, event


def test_events_are_in_the_order_of_their_times() -> None:
    """Reports of different processes may arrive out of order."""
    journal = Journal()
    for one in reversed(EVENTS):
        journal.add(one)

    assert EVENTS == list(journal)


def test_the_events_of_one_promise() -> None:
    """An event about a process belongs to the promise of its event before."""
    journal = Journal()
    for one in (*EVENTS, event("awaiting", at=6, id="other"), event("killed", at=7)):
        journal.add(one)

    assert EVENTS == journal.about("id")
    kinds = [one.kind for one in journal.about("other")]
    assert ["started", "awaiting", "killed"] == kinds
    assert len(EVENTS) + 2 == len(journal.about())


def test_listeners_hear_of_every_event() -> None:
    """Listeners are called with each event, as it is added."""
    journal, heard = Journal(), list[JournalEvent]()
    journal.listeners.append(heard.append)
    for one in EVENTS:
        journal.add(one)

    assert EVENTS == heard
