"""Ids and messages: what is accepted, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dp_core import InvalidPromiseIdError, InvalidValueError
from dp_core._ids import check_id
from dp_core.values import check_message


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
@example("/../ a\n")
@example("\N{LATIN SMALL LETTER E}\N{COMBINING ACUTE ACCENT}")
@example("x" * 1024)
def test_ids_are_compared_byte_for_byte(id: str) -> None:
    """Any text of 1 to 1,024 bytes but NUL is an id, and stays as it is."""
    if 1 <= len(id.encode()) <= 1024:
        assert id.encode() == check_id(id)
    else:
        with pytest.raises(InvalidPromiseIdError):
            check_id(id)


@pytest.mark.parametrize(
    ("id", "reason"),
    [
        ("", "it is empty"),
        ("a\0b", "it contains NUL"),
        ("é" * 513, "it has 1,026 bytes"),
        ("\ud800", "lone surrogate"),
        (7, "it is not a string"),
        (b"x", "it is not a string"),
        (None, "it is not a string"),
    ],
)
def test_what_cannot_be_an_id_is_refused(id: Any, reason: str) -> None:
    """The error says what is wrong, and shows the id escaped and cut."""
    with pytest.raises(InvalidPromiseIdError) as caught:
        check_id(id)

    text = str(caught.value)
    assert reason in text
    assert "\0" not in text
    assert len(text) < 300


@pytest.mark.parametrize("message", [None, 1, b"no", ["no"], "\ud800", "x" * 100])
def test_what_cannot_be_a_message_is_refused(message: Any) -> None:
    """A rejection carries a Unicode string within the limit, nothing else."""
    with pytest.raises(InvalidValueError):
        check_message(message, 50)


def test_an_exception_is_not_its_message() -> None:
    """Whoever rejects with an exception is told how to get the message of it."""
    with pytest.raises(InvalidValueError, match=r"not ValueError.*str\(error\)"):
        check_message(ValueError("no"))  # type: ignore[arg-type]
