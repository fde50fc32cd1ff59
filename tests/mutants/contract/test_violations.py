"""The recorded violations: they are those of today's laws and mutants."""

from __future__ import annotations

import pytest

from dp_core.testing import LAWS
from mutants.contract.registry import MUTANTS, Mutant, load
from mutants.contract.verdicts import its_violation
from mutants.contract.violations import RECORDED, reproducible

load()

HINT = "run: PYTHONPATH=tests python -m mutants.contract.violations"

# Their violations have neither durations nor random numbers in them.
SAMPLE = ("CaseFolded", "ClosesTheStore", "LastWriteLost", "LastWriteWins", "Truncated")


def test_every_mutant_has_a_recorded_violation() -> None:
    """The file has a violation for each mutant, and no others."""
    assert sorted(MUTANTS) == sorted(RECORDED), HINT


@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=MUTANTS.keys())
def test_a_recorded_violation_quotes_its_law(mutant: Mutant) -> None:
    """Name, demand and sentence of the contract are those of the law."""
    law = LAWS[mutant.law]

    expected = [f"{law.name}: {law.sentence}", f"    contract: {law.contract}"]
    assert expected == RECORDED[mutant.name].splitlines()[:2], HINT


@pytest.mark.parametrize("name", SAMPLE)
def test_a_recorded_violation_is_found_again(name: str) -> None:
    """The law finds the same violation again, with the same history."""
    assert RECORDED[name] == reproducible(its_violation("asyncio", name)), HINT
