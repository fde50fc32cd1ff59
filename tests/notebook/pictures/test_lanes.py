"""The lane chart shows every event, in a picture, in characters and in words."""

from __future__ import annotations

from html import escape
from typing import get_args

import pytest

from dp_core.notebook import Lanes
from dp_core.notebook._journal import Kind
from dp_core.notebook.pictures import symbol_of
from support.notebook.journal_events import EVENTS, event
from support.notebook.markup import HOSTILE, assert_safe


def test_lanes_show_the_events() -> None:
    """Bars, settle dot, refusal, crash and repeated wait, in characters and words."""
    lanes = Lanes(EVENTS)

    alice, bob, carol, legend = lanes.plain().splitlines()
    assert "alice 97  ▷  ·├━━━✔⊘" == alice
    assert "bob 98     ▷     ●" == bob
    assert "carol 99    ▷  ├☠   ▷├✔" == carol
    assert "☠ killed" in legend
    assert "   2.000 s  bob 98  settles: resolved 'id': \"hi\"" in lanes.words()
    assert len(EVENTS) == len(lanes.words())
    assert_safe(lanes.html())


def test_lanes_draw_waits_and_wakes() -> None:
    """A repeated wait is dashed, an open one says so, wake-ups are lines."""
    svg = Lanes(EVENTS).svg()
    assert 1 == svg.count('stroke-dasharray="4 3"')
    assert 1 == svg.count('stroke-dasharray="2 2"')
    assert "waits…" not in svg
    assert "waits…" in Lanes(EVENTS[:5]).svg()


def test_several_promises_have_letters() -> None:
    """With two promises the heading explains the letters at symbols."""
    other = event("won", "bob", at=5, id="other", state="rejected", text="no")
    svg = Lanes([*EVENTS, other]).svg()

    for text in ("A", "B", 'id ✔ resolved: "hi"', "other ✘ rejected: no"):
        assert f">{escape(text, quote=False)}</text>" in svg
    assert 2 == svg.count(">B</text>")


def test_all_kinds_of_events_have_a_symbol() -> None:
    """No kind of event is left out of the chart."""
    without = {
        kind for kind in get_args(Kind) if not symbol_of(event(kind, state="resolved"))
    }

    assert set() == without


def test_who_dies_while_it_settles_is_shown_with_its_promise() -> None:
    """A settle that never ended is a bar from its begin to the death of the process."""
    events = [
        event("settling", at=1.0),
        event("killed", at=1.002, text="signal 9"),
        event("settling", "bob", at=2.0, id="other"),
        event("won", "bob", at=2.004, id="other", state="resolved", text="1"),
    ]
    lanes = Lanes(events)

    assert "alice 97  ╶☠" == lanes.plain().splitlines()[0]
    assert "bob 98      ╶●" == lanes.plain().splitlines()[1]
    assert "   0.002 s  alice 97  killed: signal 9" in lanes.words()
    assert ">id ○ pending</text>" in lanes.svg()
    assert "settles…" not in lanes.svg()
    assert "settles…" in Lanes(events[:1]).svg()


@pytest.mark.parametrize("kind", sorted(get_args(Kind)))
@pytest.mark.parametrize("state", ["pending", "resolved", "rejected"])
def test_every_symbol_can_be_drawn(kind: Kind, state: str) -> None:
    """The picture of each event is well-formed."""
    if symbol_of(event(kind, state=state)):
        assert_safe(Lanes([event(kind, state=state)]).html())


def test_hostile_text_stays_text() -> None:
    """Ids, values, stores and names of processes cannot become markup."""
    events = [
        event("won", HOSTILE, id=HOSTILE, store=HOSTILE, state="rejected", text=HOSTILE)
    ]
    assert_safe(Lanes(events).html())


def test_nothing_has_happened() -> None:
    """Without events there is a sentence instead of an empty picture."""
    assert "Nothing has happened yet." == Lanes([]).plain()
    assert "Nothing has happened yet." == assert_safe(Lanes([]).html())
