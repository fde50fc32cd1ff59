"""The laws: their names, their sentences, and the values they ask for."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import dp_core.testing
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


@pytest.mark.slow
@pytest.mark.parametrize("name", ["suite", "stateful"])
@pytest.mark.parametrize("missing", ["hypothesis", "hypothesis.stateful"])
def test_a_suite_says_what_to_install(name: str, missing: str) -> None:
    """What it needs comes with an extra; the laws themselves need none of it."""
    program = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        "import dp_core.testing.laws\n"
        f"import dp_core.testing.{name}"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )

    assert 1 == done.returncode
    assert "pip install 'durable-promises[testing]'" in done.stderr


def test_what_the_kit_does_not_have_is_an_attribute_error() -> None:
    """Its names are imported when they are first used, and no others are made up."""
    with pytest.raises(AttributeError, match="no attribute 'check_backends'"):
        _ = dp_core.testing.check_backends
