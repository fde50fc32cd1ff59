"""The conformance kit: right backends pass, and every mutant is caught."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from dp_core.testing import LAWS, check_backend
from mutants.contract.registry import MUTANTS, Mutant, load
from mutants.contract.right import Right, Store
from mutants.contract.verdicts import (
    LITTLE,
    RIGHT,
    Verdict,
    its_law,
    judged,
    other_laws,
    right,
)

load()

ALONE = sorted(name for name, mutant in MUTANTS.items() if mutant.alone)


# Right backends -------------------------------------------------------------


@pytest.fixture(scope="module", params=["asyncio", "trio"])
def passed(request: pytest.FixtureRequest) -> Mapping[str, Verdict]:
    """Return the laws that each right backend breaks: none."""
    return judged(right, request.param, RIGHT)


@pytest.mark.parametrize("name", RIGHT)
def test_the_right_pass(name: str, passed: Mapping[str, Verdict]) -> None:
    """
    A right backend passes every law, whatever its technique.

    With and without checkpoints, locks, a monitor or a log; with polls every 50 ms
    instead of events; in worker threads and files.
    """
    assert set() == passed[name]


async def test_laws_apply_only_to_stores_that_promise_them() -> None:
    """A store whose handles share nothing passes if it does not claim to share."""
    report = await check_backend(
        lambda: Right(Store()), durable=False, shared=False, effort=LITTLE
    )

    skipped = {name for name, _ in report.skipped}
    assert {name for name, law in LAWS.items() if law.needs} == skipped
    assert set(LAWS) - skipped == set(report.passed)


# Mutants --------------------------------------------------------------------


@pytest.fixture(scope="module", params=["asyncio", "trio"])
def caught(request: pytest.FixtureRequest) -> Mapping[str, Verdict]:
    """Return the verdict of its own law on each mutant."""
    return judged(its_law, request.param, MUTANTS)


@pytest.fixture(scope="module")
def caught_besides() -> Mapping[str, Verdict]:
    """Return the other laws that catch the mutants which one law alone must catch."""
    return judged(other_laws, "asyncio", ALONE)


@pytest.mark.parametrize("name", sorted(MUTANTS))
def test_every_mutant_is_caught(name: str, caught: Mapping[str, Verdict]) -> None:
    """Each mutant breaks the law that it names."""
    assert {MUTANTS[name].law} == caught[name]


@pytest.mark.parametrize("name", ALONE)
def test_no_other_law_catches_it(
    name: str, caught_besides: Mapping[str, Verdict]
) -> None:
    """A mutant that one law alone must catch passes all others."""
    assert set() == caught_besides[name]


@pytest.mark.parametrize("law", LAWS)
def test_no_law_is_superfluous(law: str, caught_besides: Mapping[str, Verdict]) -> None:
    """Without this law, some mutant would be taken for a right backend."""
    missed = [name for name, others in caught_besides.items() if not others]

    assert any(MUTANTS[name].law == law for name in missed)


# The registry ---------------------------------------------------------------


def test_every_law_has_a_mutant() -> None:
    """There are more than a hundred mutants, and at least one for each law."""
    assert len(MUTANTS) > 100
    assert set(LAWS) == {mutant.law for mutant in MUTANTS.values()}


@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=MUTANTS.keys())
def test_every_mutant_is_described(mutant: Mutant) -> None:
    """A mutant describes its mistake in one or two sentences, and names a source."""
    assert mutant.mistake.endswith(".")
    assert mutant.mistake.count(". ") <= 1
    assert mutant.seen
    assert mutant.law in LAWS
