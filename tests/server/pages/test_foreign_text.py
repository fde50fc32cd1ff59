"""Pages with text of strangers in them: it is shown, bounded, and never markup."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dp_core import Promises, Rejected, Resolved
from dp_core._access import EVERYTHING
from dp_core._terms import PromiseInfo, Terms
from dp_core.server import App
from dp_core.server._pages._asking._answers import MOST_CHOICES, choices_of
from dp_core.server._pages._promise_page import PageReader, promise_page
from dp_core.server._pages._showing._moments import time_in_words
from dp_core.server._pages._showing._tree import (
    BUDGET_BYTES,
    MAX_DEPTH,
    JsonNode,
    tree_of,
)
from support.server.people import link, look, send, served, text_of

HOSTILE: Final = (
    "<script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "</textarea></form><form action=//evil>",
    "javascript:alert(1)",
    "{{ 7 * 7 }}{% raw %}",
    "&lt;b&gt;&amp;",
    "\u202eevil\u2066\u200f",
    "\x1b[31m\x07\x9b",
    "\ufffe\U0001ffff",
    "a\r\nSet-Cookie: x=1",
    "]]><!--",
)


class Elements(HTMLParser):
    """The elements of a page, with their attributes."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def names(self) -> set[str]:
        return {tag for tag, _ in self.found}

    def attributes(self) -> set[str]:
        return {name for _, attrs in self.found for name in attrs}


CONTROLS: Final = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
SAFE: Final = {"action", "href", "src"}


def assert_harmless(page: bytes) -> None:
    """Look for what foreign text could have become."""
    elements = Elements(page)
    assert not {"script", "img", "style", "iframe", "object"} & elements.names()
    assert not [name for name in elements.attributes() if name.startswith("on")]
    assert "style" not in elements.attributes()
    for _, attributes in elements.found:
        for name in SAFE & set(attributes):
            assert re.match(r"(\.\./|\./|#)", attributes[name] or ""), attributes

    assert not CONTROLS.search(page.decode())


@pytest.mark.parametrize("text", HOSTILE)
async def test_text_of_strangers_is_text(text: str) -> None:
    """As id, tag, data, choice, outcome and name: no markup, and no control."""
    pages = served()
    promises = Promises(pages._backend, "memory:")
    word = re.sub(r"[\x00-\x1f:=]|[\x7f-\x9f]", "", text)
    data = {text: [text, {"choices": text}], "choices": [text, "no"]}
    await promises.create(text, tags={word: text}, data=data)
    seen = [
        await look(pages, link(text, by=text)),
        await send(pages, link(text, by=text), {"json": text}),
        await send(pages, link(text, by=text), {"choice": json.dumps(text)}),
        await send(pages, link(text), {"error": text}),
        await send(pages, f"{link(text)}x", {"error": text}),
        await send(pages, "/p/x", {text: text}),
    ]

    for page in seen:
        assert_harmless(page.body)
    assert "Your answer was taken." in text_of(seen[2])
    assert text == await promises.promise(text)


LEAVES: Final = (st.none(), st.booleans(), st.integers(), st.floats(-1, 1), st.text())
JSON: Final = st.recursive(
    st.one_of(*LEAVES),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)


@given(data=JSON)
@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow])
def test_any_data_makes_a_page(data: Any) -> None:
    """Whatever JSON there is, the page is whole, small and harmless."""
    text = json.dumps(data).encode()
    info = PromiseInfo("x", Resolved(text), Terms(data=text))
    page = promise_page(info, PageReader(EVERYTHING, "t"))

    assert page.body.endswith(b"</html>")
    assert_harmless(page.body)


def deep(levels: int) -> Any:
    """Return lists in objects in lists."""
    value: Any = "bottom"
    for _ in range(levels):
        value = {"in": [value]}
    return value


MEGABYTES: Final[dict[str, Any]] = {
    "text": "x" * 1_000_000,
    "markup": "<" * 1_000_000,
    "letters": "ü" * 400_000,
    "numbers": list(range(150_000)),
    "lists": [[]] * 200_000,
    "members": {str(n): {"a": n} for n in range(40_000)},
    "a key": {"k" * 100_000: 1},
    "a number": 10**4000,
    "depth": deep(60),
    "depths": [deep(60)] * 1000,
    "markups": ["<&\"'>" * 900] * 200,
}


@pytest.mark.parametrize("kind", MEGABYTES)
def test_a_megabyte_is_not_a_page(kind: str) -> None:
    """What is long, wide or deep is cut, marked, and said to be."""
    text = json.dumps(MEGABYTES[kind], ensure_ascii=False).encode()
    assert not tree_of(MEGABYTES[kind], 0).is_whole

    info = PromiseInfo("x", Rejected("e" * 1_000_000), Terms(data=text))
    page = promise_page(info, PageReader(EVERYTHING, "t"))
    assert len(page.body) < 3 * BUDGET_BYTES
    assert f"it has {len(text):,} bytes".encode() in page.body


def depth_of(node: JsonNode) -> int:
    """Return how many levels are below a node."""
    return max((1 + depth_of(child) for _, child in node.children), default=0)


def test_a_tree_is_not_deeper_than_a_reader() -> None:
    """What is below is JSON text."""
    assert MAX_DEPTH == depth_of(tree_of(deep(20), 0).root)


def test_numbers_keep_their_digits() -> None:
    """A page shows what a program would read."""
    tree = tree_of([12345678901234567890123, 0.1, -0.0, True, None], 0)

    shown = [child.text for _, child in tree.root.children]
    assert ["12345678901234567890123", "0.1", "-0.0", "true", "null"] == shown


@pytest.mark.parametrize(
    "choices",
    [
        "approve",
        {"a": 1},
        [],
        None,
        [""],
        [" "],
        ["yes", "yes"],
        ["yes", 1],
        [["yes"]],
        [True, False],
        ["x" * 201],
        [str(n) for n in range(1000)],
        [str(n) for n in range(MOST_CHOICES + 1)],
    ],
    ids=repr,
)
async def test_odd_choices_are_data(choices: object) -> None:
    """What cannot be buttons is shown, and any answer is taken."""
    pages: App = served()
    promises = Promises(pages._backend, "memory:")
    await promises.create("x", data={"choices": choices})
    page = await look(pages, link("x"))

    assert () == choices_of({"choices": choices})
    assert b'name="choice"' not in page.body
    assert b'name="boolean"' in page.body
    assert "choices" in text_of(page)
    assert 200 == (await send(pages, link("x"), {"boolean": "true"})).status


@pytest.mark.parametrize("data", [None, [], "choices", 5, {}, {"a": 1}])
def test_data_without_choices(data: object) -> None:
    """Nothing is offered."""
    assert () == choices_of(data)


def test_choices_are_buttons() -> None:
    """Different texts, in their order, white space and all."""
    offered = ["yes", " no ", "ü", "a\nb", *map(str, range(16))]
    assert tuple(offered) == choices_of({"choices": offered})


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "less than a second"),
        (1, "1 second"),
        (60, "1 minute"),
        (61, "1 minute 1 second"),
        (7_200, "2 hours"),
        (93_600, "1 day 2 hours"),
        (12 * 86_400 + 7_200, "12 days"),
    ],
)
def test_a_length_of_time_has_one_or_two_units(seconds: float, words: str) -> None:
    """The smaller one only where it says something."""
    assert words == time_in_words(timedelta(seconds=seconds))
