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
    """Starts and ends of a process are its own, whatever promise it touched last."""
    journal = Journal()
    more = [event("awaiting", at=6, id="other"), event("killed", at=7)]
    for one in (*EVENTS, *more):
        journal.add(one)

    assert [*EVENTS, more[1]] == journal.about("id")
    assert [EVENTS[0], *more] == journal.about("other")
    assert [*EVENTS, *more] == journal.about()


def test_listeners_hear_of_every_event() -> None:
    """Listeners are called with each event, as it is added."""
    journal, heard = Journal(), list[JournalEvent]()
    journal.listeners.append(heard.append)
    for one in EVENTS:
        journal.add(one)

    assert EVENTS == heard
