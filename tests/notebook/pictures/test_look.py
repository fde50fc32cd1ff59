"""A promise reads without colour, without trust, and without JupyterLab."""

from __future__ import annotations

import re

import pytest

import dp_core as dp
from dp_core import Pending, Rejected, Resolved
from dp_core.notebook.pictures import (
    STYLES,
    preview,
    promise_bundle,
    style_of,
)
from support.notebook.journal_events import STORE
from support.notebook.markup import HOSTILE, assert_safe, contrast


def shown(
    state: dp.State[bytes] | None, id: str = "id", url: str = STORE
) -> dict[str, str]:
    """Return how a promise in a state is shown."""
    word = style_of(state).word if state is not None else None
    return promise_bundle(id, url, word, preview(state, 400))


@pytest.mark.parametrize(
    ("state", "plain"),
    [
        (None, "? not asked yet  'id' at file:./promises"),
        (Pending(), "○ pending  'id' at file:./promises"),
        (Resolved(b"null"), "✔ resolved  'id' at file:./promises = null"),
        (Rejected("Oh dear"), "✘ rejected  'id' at file:./promises with Oh dear"),
        (Rejected(""), "✘ rejected  'id' at file:./promises with "),
    ],
)
def test_a_promise_shows_its_state(state: dp.State[bytes] | None, plain: str) -> None:
    """State by shape and word, id, store and value: the same in text and HTML."""
    bundle = shown(state)

    assert plain == bundle["text/plain"]
    text = assert_safe(bundle["text/html"]).replace("\xa0", " ")
    assert plain.replace("'", "").split() == text.split()


@pytest.mark.parametrize("state", [Resolved(HOSTILE.encode()), Rejected(HOSTILE)])
def test_hostile_text_stays_text(state: dp.State[bytes]) -> None:
    """Ids, values and URLs cannot become markup, controls, or turn the line."""
    bundle = shown(state, HOSTILE, HOSTILE)

    assert_safe(bundle["text/html"])
    assert not re.search("[\x00-\x1f\u202e]", "".join(bundle.values()))


def test_long_things_are_shortened_and_passwords_are_not_shown() -> None:
    """A preview has at most 80 characters, and a URL no password."""
    value = Resolved(b'"%b"' % (b"x" * 1_000_000))
    bundle = shown(value, "i" * 1000, "http://me:secret@host/")

    assert all(len(text) < 700 for text in bundle.values())
    assert "secret" not in "".join(bundle.values())
    assert "x" * 81 not in bundle["text/plain"]


def test_colours_have_contrast_and_are_not_needed() -> None:
    """Text has the contrast of WCAG 2.2 (4.5 to 1); shapes and words differ."""
    styles = STYLES.values()
    assert min(contrast(style.ink, style.paper) for style in styles) >= 4.5
    assert len(styles) == len({style.shape for style in styles})
    assert len(styles) == len({style.word for style in styles})
