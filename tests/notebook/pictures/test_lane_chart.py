"""The lane chart lays out whatever has happened, and its time axis tells the time."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Final

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from dp_core.notebook import JournalEvent, Lanes
from dp_core.notebook.pictures._chart import PAINTS, Slot, TimeScale, pause
from support.notebook.chart_texts import assert_apart, texts_of
from support.notebook.journal_events import EVENTS, STORE, event

NAMES: Final = (
    *(f"p{n}" for n in range(40)),
    *("a-name-as-long-as-a-name-may-be_", "太郎太郎太郎", "नमस्ते", "m" * 32),
)
IDS: Final = (
    *(f"promise-{n}" for n in range(30)),
    *("x" * 300, "短い" * 40, "approve/17 <b>", "\u202e"),
)
PAUSES: Final = (0.0, 1e-6, 2e-5, 1e-3, 0.05, 1.0, 90.0, 3600.0, 1e6)
DOES: Final = ("peeked", "awaiting", "got", "left", "settling", "won", "refused")
RARE: Final = ("failed", "disposed", "created", "killed", "ended", "stopped")
STATES: Final = ("pending", "resolved", "rejected")


@st.composite
def histories(draw: st.DrawFn) -> list[JournalEvent]:
    """Return what some processes may have done, in any order and at any pace."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, unique=True))
    ids = draw(st.lists(st.sampled_from(IDS), min_size=1, max_size=30, unique=True))
    steps = st.tuples(
        st.sampled_from(names),
        st.sampled_from(DOES) | st.sampled_from(RARE),
        st.sampled_from(ids),
        st.sampled_from(STATES),
        st.sampled_from(PAUSES),
        st.integers(1, 12),
    )
    pids = {name: 3_999_000 + n for n, name in enumerate(names)}
    events, at = [], draw(st.sampled_from((0.0, 1e6)))
    for name, kind, id, state, step, times in draw(
        st.lists(steps, min_size=1, max_size=40)
    ):
        for _ in range(times if kind in DOES else 1):
            at += step
            about = ("", "") if kind in RARE[-3:] else (id, STORE)
            events.append(
                JournalEvent(name, pids[name], kind, *about, state, "1" * 99, at=at)  # type: ignore[arg-type] # one of Kind
            )
        if kind in RARE[-3:]:
            pids[name] += 1000
            at += step
            events.append(JournalEvent(name, pids[name], "started", at=at))
    return events


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(histories(), st.sampled_from((1.0, 1.4, 3.0)))
def test_no_text_covers_another(events: list[JournalEvent], wider: float) -> None:
    """Labels, letters, numbers, times, legend: apart, and on the page, however wide."""
    html = Lanes(events).html()
    found = re.search(r"min-width:(\d+)px;max-width:none;height:(\d+)px", html)
    if found is None:
        assert "Nothing has happened" in html
        return
    width, height = (int(number) for number in found.groups())

    boxes = texts_of(Lanes(events).svg(), width * wider)

    assert_apart(boxes, width * wider, height)
    assert {event.process for event in events} <= {*NAMES}
    assert len(boxes) > 2


SLOTS: Final = st.lists(
    st.tuples(
        st.sampled_from(PAUSES),
        st.sampled_from(NAMES[:6]),
        st.sampled_from((3.0, 9.0, 22.0)),
    ),
    min_size=1,
    max_size=80,
)


@settings(max_examples=150, deadline=None)
@given(SLOTS)
def test_the_axis_is_one(drawn: list[tuple[float, str, float]]) -> None:
    """
    Later is never further left, and a second takes the same room everywhere.

    More room it takes only where symbols of a lane need it; less only in a break.
    """
    slots, at = [], 0.0
    for step, lane, half in drawn:
        at += step
        slots.append(Slot(at, lane, half, half))
    scale = TimeScale(slots, 500)

    breaks = {(gap.begin, gap.end) for gap in scale.breaks}
    last: dict[str, tuple[float, float]] = {}
    for (one, x1), (two, x2) in pairwise(zip(slots, scale.places, strict=True)):
        last[one.lane] = x1, one.right
        x, right = last.get(two.lane, (0.0, 0.0))
        linear = (two.at - one.at) * scale.speed
        if (x1, x2) in breaks:
            assert x2 - x1 < linear
            continue
        assert x2 >= x1 + linear - 1e-6
        assert x2 <= max(x1 + linear, x + right + two.left) + 1e-6
    assert [gap.seconds for gap in scale.breaks] == [
        b - a for (_, a), (b, _) in pairwise(scale.segments())
    ]


def test_letters_keep_free_of_lines() -> None:
    """The letter of a promise is readable where the line of a wake-up crosses it."""
    two = [event("won", at=n, id=id, state="resolved") for n, id in enumerate("xy")]
    texts = re.findall(r"<text([^>]*)>([AB])</text>", Lanes(two).svg())
    in_lanes = [found for found, _ in texts if 'text-anchor="middle"' in found]

    assert in_lanes
    for attributes in in_lanes:
        assert 'paint-order="stroke"' in attributes
        assert "s-card" in attributes


def test_an_even_pace_has_no_breaks() -> None:
    """Equal times are equally far apart, and ticks say so."""
    lanes = Lanes([event("peeked", at=n, state="pending") for n in range(5)])
    ticks = [
        box for box in texts_of(lanes.svg(), 440) if re.fullmatch(r"\d s", box.text)
    ]

    assert [f"{n} s" for n in range(5)] == [box.text for box in ticks]
    middles = [(box.left + box.right) / 2 for box in ticks[1:-1]]
    apart = [b - a for a, b in pairwise(middles)]
    assert max(apart) - min(apart) < 0.1
    assert "cut out" not in lanes.svg()


def test_a_long_pause_is_a_break() -> None:
    """An hour between two bursts is marked with its length, above and below."""
    names = [f"p{n}" for n in range(8)]
    burst = [
        event("peeked", name, at + n * 0.001, state="pending")
        for at in (0, 3600)
        for n, name in enumerate(names)
    ]
    texts = [box.text for box in texts_of(Lanes(burst).svg(), 640)]

    assert 2 == texts.count("60 min")
    assert 2 == texts.count("1:00:00.0000")
    assert 2 == texts.count("0 s")


def test_many_events_at_once_are_one_block() -> None:
    """A thousand events of a lane are drawn as their number; a death is always seen."""
    many = [
        event(kind, "hot", n / 1e6, id=f"id-{n}", state="resolved")
        for n in range(500)
        for kind in ("settling", "won")
    ]
    svg = Lanes([*many, event("killed", "hot", 1.0, text="signal 9")]).svg()

    assert "1,000 events" in svg
    assert "killed</text>" in svg
    assert len(svg) < 30_000


def test_a_lane_has_its_pids_in_their_order() -> None:
    """Also of one that was started very often: the first and the last are there."""
    twice = Lanes(EVENTS_OF_TWO)
    often = [
        JournalEvent("ben", 1000 + n, kind, at=n + later)
        for n in range(50)
        for kind, later in (("started", 0.0), ("killed", 0.5))
    ]
    labels = " ".join(box.text for box in texts_of(Lanes(often).svg(), 5000))

    assert "carol 99 → 100" in twice.plain()
    assert ">99 → 100</text>" in twice.svg()
    assert "1000 → 1001 → 1002 → 1003 → … 42 more … → 1046 →" in labels
    assert "1049" in labels


EVENTS_OF_TWO: Final = [
    JournalEvent(
        e.process, e.pid + (e.process == "carol" and e.at > 3), e.kind, at=e.at
    )
    for e in EVENTS
    if not e.id
]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *((0.0004, "0.4 ms"), (0.25, "250 ms"), (2.06, "2.06 s"), (90, "1.5 min")),
        *((7200, "2 h"), (86400 * 3, "3 d"), (1e9, "11574 d"), (0.9999, "1000 ms")),
    ],
)
def test_pauses_in_words(seconds: float, text: str) -> None:
    """The length of a pause has the unit of its size, and fits."""
    assert text == pause(seconds)


def test_both_themes_have_contrast() -> None:
    """Light and dark, text has 4.5 to 1 on the chart, and lines and symbols 3 to 1."""
    for column in (0, 1):
        card = _luminance(PAINTS["card"][column])
        for name in ("ink", "dim", "amber", "green", "red", "grey", "line"):
            least = 4.5 if name in ("ink", "dim", "amber") else 3
            pair = sorted([card, _luminance(PAINTS[name][column])])
            assert (pair[1] + 0.05) / (pair[0] + 0.05) >= least, (name, column)


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [
        p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
