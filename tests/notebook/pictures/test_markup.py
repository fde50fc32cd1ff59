"""Markup is escaped in one place, and well-formed."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from dp_core._text import for_terminal
from dp_core.notebook.pictures import Element
from support.notebook.markup import HOSTILE


def test_text_and_attributes_are_escaped() -> None:
    """Text stays text, in an element as in an attribute; elements are not escaped."""
    text = for_terminal(HOSTILE.replace("\n", ""))
    given = HOSTILE.replace("\n", "")
    markup = str(Element("div", Element("b", given), given, title=given))

    parsed = ET.fromstring(markup)  # noqa: S314 - made by us
    assert text == parsed.get("title")
    assert ["b"] == [child.tag for child in parsed]
    assert (text, text) == (parsed[0].text, parsed[0].tail)


def test_how_attributes_are_written() -> None:
    """Names get hyphens, numbers one decimal, and None leaves an attribute out."""
    drawn = Element("rect", stroke_width=1.25, x=3, rx=None, fill="#ffffff")

    assert '<rect stroke-width="1.2" x="3" fill="#ffffff"/>' == str(drawn)


def test_only_an_element_without_children_closes_itself() -> None:
    """An empty cell of a table has an end tag, as HTML wants it."""
    assert "<td></td>" == str(Element("td", ""))
    assert "<img/>" == str(Element("img"))
