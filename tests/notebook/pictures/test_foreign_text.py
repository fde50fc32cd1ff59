"""Text of others is shown by one rule, whatever shows it, and fits its format."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Callable
from html import unescape
from xml.etree import ElementTree as ET

import pytest

from dp_core._text import coloured, for_terminal, quoted, visible
from dp_core.notebook import Board, JournalEvent, Lanes
from dp_core.notebook.pictures import Element, promise_bundle
from support.notebook.journal_events import event
from support.notebook.markup import assert_safe

# The first plane, some of the others, and the ends of all.
PLANES = range(0, sys.maxunicode, 0x10000)
CODES = [
    chr(code)
    for row in ((0, 0x10000), (0x1F000, 0x1FC00), (0xE0000, 0xE1000))
    for code in range(*row)
] + [chr(plane + code) for plane in PLANES for code in (0xFFFE, 0xFFFF)]
CONTROLS = {chr(code) for code in (*range(32), *range(127, 160))}

HOSTILE = {
    "escape": "\x1b[2J\x1b]0;title\x07",
    "overwriting": "real\rforged",
    "newline": "one\nforged 99  ✔ gets the value",
    "line separator": "one\u2028two\u2029three\x85four",
    "direction": "\u202egnp.exe\u202c\u2066x\u2069",
    "hidden": "ad\u200bmin\ufeff\u00ad\u2060",
    "filler": "\u3164\u115f\uffa0",
    "tags": "a\U000e0061\U000e0062",
    "selectors": "a\U000e0101\U000e0102",
    "not XML": "\ufffe\uffff\x00\x0b\U0001fffe",
    "surrogate": "\ud800",
    "other spaces": "a\u00a0b\u2003c\u3000d",
    "markup": "<img src=x onerror=alert(1)>&amp;\"'",
    "superscript": "²",
    "long": "x" * 5000,
    "digits": "9" * 5000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_pictures_hold_whatever_they_are_given(text: str) -> None:
    """Ids, values, stores and names: on one line, visible, well-formed, and short."""
    about = {"id": text, "store": text}
    settled = {**about, "state": "resolved", "text": text}
    events = [
        *(event("started", text), event("awaiting", text, at=1, **about)),
        event("won", f"{text}2", at=2, **settled),
        event("refused", text, at=3, **settled),
        event("awaiting", f"{text}3", at=4, **about),
    ]
    board, lanes = Board(events), Lanes(events)
    promise = promise_bundle(text, f"file:{text}", "rejected", text)
    plain = [board.plain(), lanes.plain(), *lanes.words(), promise["text/plain"]]

    # All but lines that are ours: two tables and their heads, two lanes, a legend.
    assert len(board.plain().splitlines()) == 2 + len(board.states) + 3
    assert 4 == len(lanes.plain().splitlines())
    for line in "\n".join(plain).split("\n"):
        assert visible(line) == line
        assert len(line) < 700
    for html in (board.html(), lanes.html(), promise["text/html"]):
        shown = unescape(assert_safe(html)).replace("\n", "").replace("\xa0", "")
        assert visible(shown) == shown
        ET.fromstring(f"<html>{html}</html>".encode())  # noqa: S314 - made by us
    ET.fromstring(lanes.svg().encode())  # noqa: S314 - made by us


@pytest.mark.parametrize("show", [visible, for_terminal, coloured, quoted])
def test_every_character_can_be_stored_and_sent(show: Callable[[str], str]) -> None:
    """What is shown is UTF-8, and XML, whatever it was."""
    shown = "".join(show(code) for code in CODES)

    assert shown.encode().decode() == shown
    assert set(shown) & CONTROLS <= {"\t", "\n"}
    text = "".join(CODES)
    markup = str(Element("p", show(text), title=show(text)))
    ET.fromstring(markup.encode())  # noqa: S314 - made by us
    ET.fromstring(str(Element("p", text, title=text)).encode())  # noqa: S314 - our own text


def test_nothing_invisible_is_left() -> None:
    """A visible text has letters, marks, numbers, signs and spaces, nothing else."""
    kinds = {code: unicodedata.category(code) for code in CODES}
    left = {kinds[code] for code in CODES if visible(code) == code}

    assert {"Zs"} == {kind for kind in left if kind[0] in "CZ"}
    assert [" "] == [c for c in CODES if visible(c) == c and kinds[c] == "Zs"]
    for code in "aé日☃👩❤\u0301":
        assert code == visible(code)


def test_output_keeps_its_colours_and_no_more() -> None:
    """Colours stay; what moves, erases, overwrites or sets titles is escaped."""
    red = "\x1b[31;1mred\x1b[0m"

    assert red == coloured(red)
    assert "\\u001b[2Jx" == coloured("\x1b[2Jx")
    assert "\\u001b]0;t\\u0007" == coloured("\x1b]0;t\x07")
    assert "100 %" == coloured("10 %\r50 %\r100 %\r")


def test_any_name_can_be_in_a_journal() -> None:
    """Names come from environments of processes, too; they are put in order."""
    names = ["p10", "p9", "²", "", "p" + "9" * 5000, "٣", "\udcff", "notebook"]
    events = [JournalEvent(name, n, "started") for n, name in enumerate(names, 1)]

    lines = Lanes(events).plain().splitlines()

    assert lines[0].startswith("notebook 8")
    assert [2, 1] == [n for n in map(_pid, lines[:-1]) if n in {1, 2}]


def _pid(line: str) -> int:
    return int(line.rpartition("  ")[0].split()[-1])
