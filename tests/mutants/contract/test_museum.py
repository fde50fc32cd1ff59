"""The kit, tested: it passes what is right and catches every exhibit."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from dp_core.testing import LAWS, check_backend
from mutants.contract.museum import EXHIBITS, Exhibit, open_museum
from mutants.contract.right import Right, Store
from mutants.contract.verdicts import (
    LITTLE,
    RIGHT,
    Verdict,
    all_laws,
    its_law,
    judged,
    right,
)

open_museum()

ALONE = sorted(name for name, exhibit in EXHIBITS.items() if exhibit.alone)


# What is right --------------------------------------------------------------


@pytest.fixture(scope="module", params=["asyncio", "trio"])
def passed(request: pytest.FixtureRequest) -> Mapping[str, Verdict]:
    """What the right backends break: nothing."""
    return judged(right, request.param, RIGHT)


@pytest.mark.parametrize("name", RIGHT)
def test_the_right_pass(name: str, passed: Mapping[str, Verdict]) -> None:
    """
    A right backend passes every law, however it goes about it.

    With or without checkpoints, locks, a monitor or a log, with polls every 50 ms for
    events, in worker threads and files.
    """
    assert set() == passed[name]


async def test_what_is_not_promised_is_not_asked_for() -> None:
    """A store whose handles have nothing in common passes as what it is."""
    report = await check_backend(
        lambda: Right(Store()), durable=False, shared=False, effort=LITTLE
    )

    skipped = {name for name, _ in report.skipped}
    assert {name for name, law in LAWS.items() if law.needs} == skipped
    assert set(LAWS) - skipped == set(report.passed)


# What is wrong --------------------------------------------------------------


@pytest.fixture(scope="module", params=["asyncio", "trio"])
def caught(request: pytest.FixtureRequest) -> Mapping[str, Verdict]:
    """What its own law says about each exhibit."""
    return judged(its_law, request.param, EXHIBITS)


@pytest.fixture(scope="module")
def broken() -> Mapping[str, Verdict]:
    """All that each exhibit breaks which is alone with its law."""
    return judged(all_laws, "asyncio", ALONE)


@pytest.mark.parametrize("name", sorted(EXHIBITS))
def test_every_exhibit_is_caught(name: str, caught: Mapping[str, Verdict]) -> None:
    """Each broken backend breaks the law that is named for its mistake."""
    assert {EXHIBITS[name].law} == caught[name]


@pytest.mark.parametrize("name", ALONE)
def test_no_other_law_catches_it(name: str, broken: Mapping[str, Verdict]) -> None:
    """What is said to be caught by one law alone passes all others."""
    assert {EXHIBITS[name].law} == broken[name]


@pytest.mark.parametrize("law", LAWS)
def test_no_law_is_superfluous(law: str, broken: Mapping[str, Verdict]) -> None:
    """Without this law, some exhibit would be taken for a right backend."""
    missed = [name for name, laws in broken.items() if not laws - {law}]

    assert any(EXHIBITS[name].law == law for name in missed)


# The museum itself ----------------------------------------------------------


def test_the_museum_is_large_enough() -> None:
    """There are more than a hundred exhibits, and an exhibit for each law."""
    assert len(EXHIBITS) > 100
    assert set(LAWS) == {exhibit.law for exhibit in EXHIBITS.values()}


@pytest.mark.parametrize("exhibit", EXHIBITS.values(), ids=EXHIBITS.keys())
def test_every_exhibit_is_labelled(exhibit: Exhibit) -> None:
    """An exhibit says in one line what its mistake is, and where it was seen."""
    mistake = exhibit.backend.__doc__ or ""

    assert mistake.strip().count("\n") == 0
    assert mistake.endswith(".")
    assert exhibit.seen
    assert exhibit.law in LAWS
