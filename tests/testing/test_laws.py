"""The laws: their names, their sentences, and the values they ask for."""

from __future__ import annotations

import inspect

import pytest

from dp_core.backend import Backend, Registry, Watchable
from dp_core.testing import LAWS, Law
from dp_core.testing.kit import CONTRACT
from dp_core.testing.laws.values import NUMBERS, TEXTS, VALUES
from dp_core.values import check_text, encode


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS.keys())
def test_every_law_spells_out_the_contract(law: Law) -> None:
    """Its sentence is one line, and the contract's is in `dp_core.backend`."""
    original = ""
    for kind in (Backend, Registry, Watchable):
        for part in (kind, *vars(kind).values()):
            original += " " + " ".join((inspect.getdoc(part) or "").split())

    assert law.contract in original
    assert law.contract in CONTRACT
    assert law.sentence.endswith(".")
    assert law.name == law.name.lower()
    assert " " not in law.name


def test_the_laws_are_sorted() -> None:
    """The table is sorted, and its keys are the names of the laws."""
    assert sorted(LAWS) == list(LAWS)
    assert [law.name for law in LAWS.values()] == list(LAWS)


def test_the_codec_lets_all_texts_through() -> None:
    """No law asks a backend for a value that it would never be given."""
    for text in TEXTS:
        assert text == check_text(text)
    for value in (*VALUES, *NUMBERS):
        assert encode(value) == check_text(encode(value))
