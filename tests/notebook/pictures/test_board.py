"""The board shows promises and processes as they are now."""

from __future__ import annotations

import re
from dataclasses import replace

from dp_core.notebook import Board
from support.notebook.journal_events import EVENTS, event
from support.notebook.markup import HOSTILE, assert_safe


def test_the_board() -> None:
    """The board has states, values, winners, losers, waiters and the dead."""
    waiting = Board(EVENTS[:7]).plain()
    settled = Board(EVENTS)

    assert re.search(r"○ pending +id +- +- +- +alice", waiting)
    assert re.search(r"carol +99 +☠ killed", waiting)
    assert re.search(r"alice +97 +… waiting for 'id'", waiting)
    assert re.search(r'✔ resolved +id +"hi" +bob +alice +-', settled.plain())
    assert {"id": "resolved"} == settled.states
    assert_safe(settled.html())


def test_html_says_the_same() -> None:
    """The HTML tables have the words of the plain ones."""
    board = Board(EVENTS)

    plain = re.sub(r"\s+", "", board.plain())
    assert plain == re.sub(r"\s+", "", assert_safe(board.html()))


def test_terms_have_columns_where_there_are_some() -> None:
    """Deadline, tags, and the deadline or person that settled it are on the board."""
    created = event(
        "created", deadline="2026-11-29T14:30:00.000Z", tags="kind=approval"
    )
    known = replace(created, kind="peeked", state="rejected", text="late", at=2)
    by_itself = Board([created, replace(known, expired=True)]).plain()
    by_ann = Board([created, replace(known, by="ann")]).plain()
    by_bob = Board([created, replace(known, kind="won", process="bob", by="ann")])

    terms = r"2026-11-29 14:30:00 UTC +kind=approval"
    assert re.search(rf"✘ rejected +id +late +the deadline +- +- +{terms}", by_itself)
    assert re.search(rf"late +ann +- +- +{terms}", by_ann)
    assert re.search(rf"late +bob as ann +- +- +{terms}", by_bob.plain())
    assert "deadline" in assert_safe(by_bob.html())
    assert "deadline" not in Board(EVENTS).plain()
    assert "deadline" not in Board([known, event("disposed", at=3)]).plain()


def test_a_disposal_begins_anew() -> None:
    """After a disposal the board shows a pending promise without a winner."""
    board = Board([*EVENTS, event("disposed", at=5)])

    assert {"id": "pending"} == board.states
    assert re.search(r"○ pending +id +- +- +- +-", board.plain())
    assert "<code" in board.html()
    assert "></code>" not in board.html()


def test_hostile_text_stays_text() -> None:
    """Ids, values, stores and names of processes cannot become markup."""
    events = [
        event("won", HOSTILE, id=HOSTILE, store=HOSTILE, state="rejected", text=HOSTILE)
    ]
    assert_safe(Board(events).html())


def test_nothing_has_happened() -> None:
    """Without events there is a sentence instead of empty tables."""
    assert "Nothing has happened yet." == Board([]).plain()
    assert "Nothing has happened yet." == assert_safe(Board([]).html())
