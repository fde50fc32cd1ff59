"""Numbers in text of others: plain digits, and nothing else that Python reads."""

from __future__ import annotations

from math import inf

import pytest

from dp_core.backend import read_number, read_whole

NO_NUMBERS = [
    *("", " ", "+", ".", "1_0", "10_000.5", " 10", "10 ", "10\n", "\xa010", "1 0"),
    *(
        "\u0661\u0660",
        "\uff11\uff10",
        "1\xb2",
        "1,5",
        "0x10",
        "1e",
        "--1",
        "nan",
        "inf",
        "1" * 401,
    ),
]


@pytest.mark.parametrize("text", NO_NUMBERS)
def test_no_number_is_guessed(text: str) -> None:
    """Underscores, blanks, digits of other scripts and names are refused in words."""
    with pytest.raises(ValueError, match=r"from 0 to 9, such as 30 or 0\.5$"):
        read_number(text)
    with pytest.raises(ValueError, match=r"from 0 to 9, such as 30$"):
        read_whole(text)


def test_numbers_are_read() -> None:
    """In all their usual forms; a whole number has no point."""
    texts = ["30", "0.5", ".5", "5.", "-1", "+1", "007", "1e3", "2.5E-1", "1e999"]
    expected = [30, 0.5, 0.5, 5, -1, 1, 7, 1000, 0.25, inf]
    assert expected == list(map(read_number, texts))
    assert [30, -1, 1, 7] == list(map(read_whole, ["30", "-1", "+1", "007"]))
    with pytest.raises(ValueError, match=r"'0\.5' is not a valid whole number"):
        read_whole("0.5")
