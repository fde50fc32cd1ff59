"""The kit, tested: it passes what is right and catches every exhibit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import anyio
import pytest
from museum import EXHIBITS, Exhibit
from right import Directory, Eager, Locked, Logged, Polling, Right, Store

from dp_core import Backend
from dp_core.testing import LAWS, ConformanceError, Effort, Law, check_backend

for subject in Path(__file__).parent.glob("exhibits_*.py"):
    import_module(subject.stem)

SEED: Final = 1
LITTLE: Final = Effort(histories=8, linger=0.2, volume=200)
ENOUGH: Final = Effort(linger=0.6)
PATIENT: Final = {"WaitGivesUp": 5.0}
"""How long a promise is left alone where that is what it takes, in seconds."""

BLOCKING: Final = {"BlocksTheLoop"}
"""Exhibits that stop the event loop, and so whatever else runs on it."""

AT_ONCE: Final = 8


async def verdict(
    exhibit: Exhibit, laws: Iterable[Law] | None, patience: float
) -> set[str]:
    """Return the names of the laws that *exhibit* breaks."""
    linger = PATIENT.get(exhibit.name, ENOUGH.linger)
    effort = Effort(linger=linger, patience=patience)
    try:
        await check_backend(
            exhibit.store(),
            durable=True,
            shared=True,
            laws=laws,
            effort=effort,
            seed=SEED,
        )
    except ConformanceError as error:
        return {violation.law for violation in error.violations}
    return set()


async def verdicts(
    exhibits: Iterable[Exhibit], patience: float, *, all_laws: bool
) -> Mapping[str, set[str]]:
    """Judge many exhibits at once: most of the time each of them sleeps."""
    found: dict[str, set[str]] = {}
    limiter = anyio.CapacityLimiter(AT_ONCE)

    async def judge(exhibit: Exhibit) -> None:
        async with limiter:
            laws = None if all_laws else [LAWS[exhibit.law]]
            found[exhibit.name] = await verdict(exhibit, laws, patience)

    async with anyio.create_task_group() as tasks:
        for exhibit in exhibits:
            tasks.start_soon(judge, exhibit)
    return found


@pytest.fixture(scope="module", params=["asyncio", "trio"])
def caught(request: pytest.FixtureRequest) -> Mapping[str, set[str]]:
    """What its own law says about each exhibit."""
    exhibits = [e for e in EXHIBITS.values() if e.name not in BLOCKING]

    async def judge() -> Mapping[str, set[str]]:
        return await verdicts(exhibits, 1.0, all_laws=False)

    return anyio.run(judge, backend=request.param)


@pytest.fixture(scope="module")
def broken() -> Mapping[str, set[str]]:
    """All that each exhibit breaks which is alone with its law."""
    exhibits = [exhibit for exhibit in EXHIBITS.values() if exhibit.alone]

    async def judge() -> Mapping[str, set[str]]:
        return await verdicts(exhibits, 10.0, all_laws=True)

    return anyio.run(judge)


# What is right --------------------------------------------------------------

RIGHT: Final = ("Directory", "Eager", "Locked", "Logged", "Polling", "Right")


def right_store(name: str, folder: Path) -> Callable[[], Backend]:
    """Return what opens handles on a new store of one of the right kinds."""
    if name == "Directory":
        return lambda: Directory(folder)
    if name == "Polling":
        records: dict[str, Any] = {}
        return lambda: Polling(records)
    kind: type[Right] = {k.__name__: k for k in (Eager, Locked, Logged, Right)}[name]
    store = kind.store_type()
    return lambda: kind(store)


@pytest.fixture(scope="module", params=["asyncio", "trio"])
def passed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, str]:
    """What the kit says about each right backend."""
    found = {}

    async def judge(name: str) -> None:
        opened = right_store(name, tmp_path_factory.mktemp(name))
        try:
            await check_backend(opened, durable=True, shared=True, effort=LITTLE)
        except ConformanceError as error:
            found[name] = str(error)
        else:
            found[name] = "passed"

    async def judge_all() -> None:
        async with anyio.create_task_group() as tasks:
            for name in RIGHT:
                tasks.start_soon(judge, name)

    anyio.run(judge_all, backend=request.param)
    return found


@pytest.mark.parametrize("name", RIGHT)
def test_the_right_pass(name: str, passed: Mapping[str, str]) -> None:
    """
    A right backend passes every law, however it goes about it.

    With or without checkpoints, locks or a log, with polls every 50 ms for
    events, in worker threads and files.
    """
    assert passed[name] == "passed"


async def test_what_is_not_promised_is_not_asked_for() -> None:
    """A store whose handles have nothing in common passes as what it is."""
    report = await check_backend(
        lambda: Right(Store()), durable=False, shared=False, effort=LITTLE
    )

    skipped = {name for name, _ in report.skipped}
    assert {name for name, law in LAWS.items() if law.needs} == skipped
    assert set(LAWS) - skipped == set(report.passed)


# What is wrong --------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(EXHIBITS.keys() - BLOCKING))
def test_every_exhibit_is_caught(name: str, caught: Mapping[str, set[str]]) -> None:
    """Each broken backend breaks the law that is named for its mistake."""
    assert {EXHIBITS[name].law} == caught[name]


@pytest.mark.parametrize("name", sorted(BLOCKING))
async def test_what_blocks_the_loop_is_caught(name: str) -> None:
    """A backend that stops the event loop is caught, and does not stop the kit."""
    exhibit = EXHIBITS[name]

    assert {exhibit.law} == await verdict(exhibit, [LAWS[exhibit.law]], 0.5)


@pytest.mark.parametrize(
    "name", sorted(name for name, exhibit in EXHIBITS.items() if exhibit.alone)
)
def test_no_other_law_catches_it(name: str, broken: Mapping[str, set[str]]) -> None:
    """What is said to be caught by one law alone passes all others."""
    assert {EXHIBITS[name].law} == broken[name]


@pytest.mark.parametrize("law", LAWS)
def test_no_law_is_superfluous(law: str, broken: Mapping[str, set[str]]) -> None:
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
