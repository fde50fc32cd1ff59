"""What is shown reads without colour, without trust, and without JupyterLab."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from typing import Any, Final, get_args
from xml.etree import ElementTree as ET

import pytest

import dp_core as dp
from dp_core import DurablePromise, Pending, Rejected, Resolved
from dp_core._display import LOOKS, Look, promise_bundle
from dp_core.notebook import (
    Board,
    Event,
    Journal,
    Lanes,
    Question,
    StateDiagram,
    check,
    state_diagram,
)
from dp_core.notebook._journal import Kind
from dp_core.notebook._marks import mark_of

STORE: Final = "file:./promises"

# What JupyterLab leaves of a notebook that is not trusted.
SAFE: Final = {
    "div": {"style"},
    "span": {"style"},
    "code": {"style"},
    "b": set(),
    "i": set(),
    "pre": set(),
    "details": set(),
    "summary": set(),
    "table": {"style"},
    "tr": set(),
    "th": {"style"},
    "td": {"style"},
    "img": {"alt", "src", "style"},
}
HOSTILE: Final = "<script>alert('x')</script>\" onload=\u202e\x1b[31m\n&"


class Elements(HTMLParser):
    """Collects elements, with their attributes, and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def assert_safe(html: str) -> str:
    """Check that nothing in it would be removed; return its text."""
    found = Elements(html)
    for tag, attributes in found.elements:
        assert attributes.keys() <= SAFE[tag], (tag, attributes)
        assert "var(" not in str(attributes.get("style"))
        if tag == "img":
            head, _, data = str(attributes["src"]).partition(",")
            assert head == "data:image/svg+xml;base64"
            ET.fromstring(base64.b64decode(data))  # noqa: S314 - made by us
    return found.text


def event(kind: Kind, process: str = "alice", at: float = 0, **more: Any) -> Event:
    """Return an event about the promise "id"."""
    about = {"id": "id", "store": STORE} if mark_needs_promise(kind) else {}
    return Event(process, ord(process[0]), kind, at=at, **{**about, **more})


def mark_needs_promise(kind: Kind) -> bool:
    """Tell whether such an event is about a promise."""
    return kind not in ("started", "killed", "stopped")


STORY: Final = [
    event("started", at=0.0),
    event("started", "bob", at=0.1),
    event("started", "carol", at=0.2),
    event("peeked", at=0.5, state="pending"),
    event("awaiting", at=1.0),
    event("awaiting", "carol", at=1.1),
    event("killed", "carol", at=1.5),
    event("won", "bob", at=2.0, state="resolved", text='"hi"'),
    event("got", at=2.001, state="resolved", text='"hi"'),
    event("refused", at=3.0, state="resolved", text='"hi"'),
    event("started", "carol", at=4.0),
    event("awaiting", "carol", at=4.1),
    event("got", "carol", at=4.2, state="resolved", text='"hi"'),
]


@pytest.mark.parametrize(
    ("seen", "plain"),
    [
        (None, "? not asked yet  'id' at file:./promises"),
        (Pending(), "○ pending  'id' at file:./promises"),
        (Resolved(b"null"), "✔ resolved  'id' at file:./promises = null"),
        (Rejected("Oh dear"), "✘ rejected  'id' at file:./promises with Oh dear"),
        (Rejected(""), "✘ rejected  'id' at file:./promises with "),
    ],
)
def test_a_promise_shows_its_state(seen: dp.State[bytes] | None, plain: str) -> None:
    """State by shape and word, id, store and value: the same in text and HTML."""
    bundle = promise_bundle("id", STORE, seen)

    assert plain == bundle["text/plain"]
    text = assert_safe(bundle["text/html"]).replace("\xa0", " ")
    assert plain.replace("'", "").split() == text.split()


def test_hostile_text_stays_text() -> None:
    """Ids, values and URLs cannot become markup, controls, or turn the line."""
    for seen in (Resolved(HOSTILE.encode()), Rejected(HOSTILE)):
        bundle = promise_bundle(HOSTILE, HOSTILE, seen)
        assert_safe(bundle["text/html"])
        assert not re.search("[\x00-\x1f\u202e]", "".join(bundle.values()))

    events = [
        event("won", HOSTILE, id=HOSTILE, store=HOSTILE, state="rejected", text=HOSTILE)
    ]
    assert_safe(Lanes(events).html())
    assert_safe(Board(events).html())


def test_long_things_are_shortened_and_passwords_are_not_shown() -> None:
    """A preview has at most 80 characters, and a URL no password."""
    bundle = promise_bundle(
        "i" * 1000, "http://me:secret@host/", Resolved(b'"%b"' % (b"x" * 1_000_000))
    )

    assert all(len(text) < 700 for text in bundle.values())
    assert "secret" not in "".join(bundle.values())
    assert "x" * 81 not in bundle["text/plain"]


def test_colours_have_contrast_and_are_not_needed() -> None:
    """Text has the contrast of WCAG 2.2 (4.5 to 1); shapes and words differ."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [
            p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts
        ]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    def contrast(look: Look) -> float:
        one, other = sorted([luminance(look.ink), luminance(look.paper)])
        return (other + 0.05) / (one + 0.05)

    looks = LOOKS.values()
    assert min(map(contrast, looks)) >= 4.5
    assert len(looks) == len({look.shape for look in looks})
    assert len(looks) == len({look.word for look in looks})


async def test_showing_a_promise_asks_nobody() -> None:
    """A repr does no I/O: it shows what was last known, also after a disposal."""

    class Counting(dp.Backend):
        asked = 0

        async def peek(self, id: str) -> dp.State[bytes]:
            self.asked += 1
            return Resolved(b"1")

        async def settle(self, id: str, outcome: dp.Outcome[bytes]) -> Any:
            raise NotImplementedError

        async def wait(self, id: str) -> Any:
            raise NotImplementedError

        async def dispose(self, id: str) -> None: ...

        async def aclose(self) -> None: ...

    backend = Counting()
    promise: DurablePromise[Any] = dp.Promises(backend, "x:").promise("id")

    def shown() -> str:
        return promise._repr_mimebundle_()["text/plain"].split("  ")[0]

    assert shown() == "? not asked yet"
    await promise.peek()
    assert shown() == shown() == "✔ resolved"
    assert backend.asked == 1
    await promise.dispose()
    assert shown() == "○ pending"


def test_lanes_tell_what_happened() -> None:
    """Bars, settle dot, refusal, crash and repeated wait, in characters and words."""
    lanes = Lanes(STORY)

    alice, bob, carol, legend = lanes.plain().splitlines()
    assert alice == "alice 97  ▷  ·├━━━✔⊘"
    assert bob == "bob 98     ▷     ●"
    assert carol == "carol 99    ▷  ├☠   ▷├✔"
    assert "☠ killed" in legend
    assert "   2.000 s  bob 98  settles: resolved 'id': \"hi\"" in lanes.words()
    assert len(STORY) == len(lanes.words())
    assert_safe(lanes.html())


def test_lanes_draw_waits_and_wakes() -> None:
    """A repeated wait is dashed, an open one says so, wake-ups are lines."""
    svg = Lanes(STORY).svg()
    assert svg.count('stroke-dasharray="4 3"') == 1
    assert svg.count('stroke-dasharray="2 2"') == 1
    assert "waits…" not in svg
    assert "waits…" in Lanes(STORY[:5]).svg()


def test_everything_that_happens_has_a_mark() -> None:
    """No kind of event is left out of the chart, but the beginning of a settle."""
    unmarked = {
        kind for kind in get_args(Kind) if not mark_of(event(kind, state="resolved"))
    }

    assert unmarked == {"settling"}


def test_nothing_has_happened() -> None:
    """Without events there is a sentence instead of an empty picture."""
    for shown in (Lanes([]), Board([])):
        assert shown.plain() == "Nothing has happened yet."
        assert_safe(shown.html())


def test_the_board() -> None:
    """The board tells states, values, winners, losers, waiters and the dead."""
    waiting = Board(STORY[:7]).plain()
    settled = Board(STORY)

    assert re.search(r"○ pending +id +- +- +alice", waiting)
    assert re.search(r"carol +99 +☠ killed", waiting)
    assert re.search(r"alice +97 +… waiting for 'id'", waiting)
    assert re.search(r'✔ resolved +id +"hi" +bob +alice +-', settled.plain())
    assert settled.states == {"id": "resolved"}
    assert_safe(settled.html())


def test_a_disposal_begins_anew() -> None:
    """After a disposal the board shows a pending promise without a winner."""
    board = Board([*STORY, event("disposed", at=5)])

    assert board.states == {"id": "pending"}
    assert re.search(r"○ pending +id +- +- +-", board.plain())


def test_the_story_of_one_promise() -> None:
    """What happens to a process belongs to the promise it last had to do with."""
    journal = Journal()
    for one in (*STORY, event("awaiting", at=6, id="other"), event("killed", at=7)):
        journal.add(one)

    assert journal.about("id") == STORY
    kinds = [one.kind for one in journal.about("other")]
    assert kinds == ["started", "awaiting", "killed"]
    assert len(journal.about()) == len(STORY) + 2


def test_the_state_diagram_is_drawn_from_the_table() -> None:
    """Every entry of TRANSITIONS is in it, and it changes with the table."""
    diagram = state_diagram()
    arrows = diagram.arrows()

    for state, row in dp.TRANSITIONS.items():
        for command, target in row.items():
            assert command.__name__ in arrows[state, target]
    assert sum(map(len, arrows.values())) == 9
    assert diagram.svg().count('marker-end="url(#tip)"') == len(arrows)
    assert "✔ Resolved   Resolve, Reject          → ✔ Resolved (unchanged)" in (
        diagram.plain().splitlines()
    )
    assert_safe(diagram.html())

    other = StateDiagram({Pending: {dp.Resolve: Resolved}, Resolved: {}})
    assert len(other.arrows()) == 1
    assert "Rejected" not in other.svg()


def test_predictions(capsys: pytest.CaptureFixture[str]) -> None:
    """A prediction is right, wrong or missing, and never stops the notebook."""
    question = Question("What?", a="this", b="that")
    said = []
    for guess in ("a", "b", ""):
        question.guess(guess)
        question.reveal("a")
        said.append(capsys.readouterr().out.splitlines()[-1])

    assert said == [
        "✔ right: You predicted a. It is a: this",
        "✘ not so: You predicted b. It is a: this",
        "○ open: You made no prediction. It is a: this",
    ]
    with pytest.raises(ValueError, match="the answers are a, b"):
        question.guess("c")


@pytest.mark.parametrize(
    ("attempt", "wanted", "said"),
    [
        (..., 1, "○ open: Not tried yet."),
        (None, 1, "○ open: Not tried yet."),
        (1, 1, "✔ right: 1."),
        (2, 1, "✘ not so: 2. Look again."),
        (0, lambda n: n < 1, "✔ right: 0."),
    ],
)
def test_exercises_are_checked_at_once(
    attempt: object, wanted: Any, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """An exercise is open, right, or wrong with advice."""
    check(attempt, wanted, "Look again.")

    assert said == capsys.readouterr().out.strip()
