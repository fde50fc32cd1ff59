"""Exercises: checks that know the answer, accept what means the same, and help."""

from __future__ import annotations

from collections import OrderedDict
from decimal import Decimal
from enum import Enum
from typing import Any

import pytest

import dp_core as dp
from dp_core.notebook import Sealed, check, seal
from dp_core.notebook.lessons._meaning import meaning


class Colour(Enum):
    RED = 1


@pytest.mark.parametrize(
    ("attempt", "wanted", "said"),
    [
        (..., 1, "○ open: Not tried yet."),
        (None, 1, "○ open: Not tried yet."),
        ([None, None], 1, "○ open: Not tried yet."),
        ([None, 1], [1, 1], "✘ not so: [None, 1]. Look again."),
        ([], 1, "✘ not so: []. Look again."),
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


def test_a_sealed_answer_says_which_part_is_wrong(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The verdict has the attempt, what is wrong with it, and the advice."""
    check("a, c", seal({"a", "b"}), "Look again.")

    said = "✘ not so: 'a, c'. Too much: c. 1 is missing. Look again."
    assert said == capsys.readouterr().out.strip()


@pytest.mark.parametrize(
    "same",
    [
        [
            "Dispose",
            "dispose",
            " DISPOSE. ",
            "'Dispose'",
            dp.Dispose,
            "dp_core.Dispose",
        ],
        [4, 4.0, "4", "4.", "4.0", Decimal("4.00"), "0004", "40e-1"],
        [0, "0", -0.0, "0.0", "-0"],
        [1000, "1000", 1e3, "1e3"],
        [True, "true", "True", "yes", "Yes!"],
        [False, "false", "no", "No."],
        [None, "None", "null"],
        [dp.Pending(), dp.Pending, "pending", "Pending()"],
        [KeyError, KeyError("x"), "KeyError", "builtins.KeyError"],
        ["the outcome", "outcome", "an outcome", "The  outcome!"],
        ["fsync_names", "fsync names", "disk.fsync_names()", "fsync-names"],
        [len, "len", "len()"],
        [Colour.RED, "red"],
        [b"bytes", "bytes"],
        [{"a": 1, "b": 2}, OrderedDict(b="2", A=1.0)],
        [{1, 2}, frozenset({"2", 1})],
        [[1, 2], (1, "2"), range(1, 3)],
        ["ﬁle", "file"],
    ],
)
def test_what_means_the_same(same: list[Any]) -> None:
    """Case, types, numbers as text, quotes and articles make no difference."""
    assert 1 == len({meaning(one) for one in same}), [meaning(one) for one in same]


@pytest.mark.parametrize(
    "others",
    [
        ["a", "b", "", "b c", "-", "+"],
        [1, -1, 10, 0.1, "1e400", float("inf"), float("nan"), 10**40],
        [True, 1, None, 0, False],
        [{"a": 1}, {"a": 2}, {"b": 1}],
        [[1, 2], [2, 1], {1, 2}, [1], 12],
        [dp.Resolved(1), dp.Resolved(2), dp.Rejected("1")],
    ],
)
def test_what_means_something_else(others: list[Any]) -> None:
    """Different answers stay different."""
    assert len(others) == len({meaning(one) for one in others})


SETS: list[tuple[Any, str]] = [
    ({"Resolve", "Reject"}, ""),
    (["reject", "resolve"], ""),
    (("Reject", dp.Resolve), ""),
    ("resolve, reject", ""),
    ("{'Resolve', 'Reject'}", ""),
    ("Reject and Resolve.", ""),
    ("resolve", "1 is missing."),
    (dp.Resolve, "1 is missing."),
    ({"Resolve", "Reject", "Dispose"}, "Too much: Dispose."),
    ({"Dispose"}, "Too much: Dispose. 2 are missing."),
    ([], "2 are missing."),
]


@pytest.mark.parametrize(("attempt", "wrong"), SETS)
def test_sets(attempt: Any, wrong: str) -> None:
    """A set may come in any order and form; what is missing is counted, not named."""
    assert wrong == seal({"Resolve", "Reject"}).what_is_wrong(attempt)


ROWS: list[tuple[Any, str]] = [
    ([1, "b", True], ""),
    (("1", "B.", "true"), ""),
    ("1, b, true", ""),
    ([1, "c", False], "Not right: number 2, 3 of 3."),
    ([1, "b"], "3 are asked for, and you have 2."),
    ({1, "b", False}, "The order counts here, and a set has none: write a list."),
    (7, "3 are asked for, and you have 1."),
]


@pytest.mark.parametrize(("attempt", "wrong"), ROWS)
def test_rows(attempt: Any, wrong: str) -> None:
    """In a list the order counts, and the wrong places are told."""
    assert wrong == seal([1, "b", True]).what_is_wrong(attempt)


MAPS: list[tuple[Any, str]] = [
    ({"a": 1, "b": [2]}, ""),
    ({"B": ("2",), "A": 1.0}, ""),
    ({"a": 1}, "1 is missing."),
    ({"a": 2, "b": [2]}, "Another value: a."),
    ({"a": 2, "c": 3}, "Too much: c. Another value: a. 1 is missing."),
    ([("a", 1)], "Write a dict: {key: value}."),
]


@pytest.mark.parametrize(("attempt", "wrong"), MAPS)
def test_dicts(attempt: Any, wrong: str) -> None:
    """In a dict the wrong keys are told, and what is missing is counted."""
    assert wrong == seal({"a": 1, "b": [2]}).what_is_wrong(attempt)


def test_one_of_several() -> None:
    """An answer may have several forms; alone in a set or a list it is still one."""
    sealed = seal(1, "Peeked value")

    for right in (1, "1.", "peeked value", ["Peeked value"], {1}):
        assert not sealed.what_is_wrong(right)
    for wrong in (2, "", [], [1, 2], {"a": 1}):
        assert "That is not it." == sealed.what_is_wrong(wrong)


def test_a_seal_is_what_an_author_pastes() -> None:
    """Its repr is code that makes it again; it hides the answer, and whose it is."""
    one, again = seal({"Dispose", "Reject"}), seal({"Reject", "Dispose"})

    assert one == eval(repr(one), {"Sealed": Sealed})  # noqa: S307 - of our own
    assert "ispose" not in repr(one)
    assert one != again
    assert "" == again.what_is_wrong({"Dispose", "Reject"})


@pytest.mark.parametrize(
    "text", ["", "one", "one.12345678", "x.1234.12345678", "pending", 1]
)
def test_what_is_no_seal(text: Any) -> None:
    """A plain answer in the place of a sealed one is refused where it is written."""
    with pytest.raises(ValueError, match=r"seal\(answer\) makes one"):
        Sealed(text)


@pytest.mark.parametrize("answers", [(), (None,), (...,), ({1}, {2}), ([1], 2)])
def test_what_cannot_be_sealed(answers: tuple[Any, ...]) -> None:
    """No answer is none; and one that has parts has no other forms."""
    with pytest.raises(ValueError, match="not a valid answer"):
        seal(*answers)
