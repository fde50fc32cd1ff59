"""Real processes that race over one SQLite store, are killed, come and go."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from support.file.races import new_seed, turmoil
from support.file.sweeps import TORTURE, show
from support.sqlite.programs import run
from support.sqlite.races import killed, race
from support.sqlite.stores import rows

MANY: Final = 10 if TORTURE else 1
PROGRAM: Final = "support.sqlite.random_load"


@pytest.fixture
def seed() -> int:
    """Decides what happens by chance; shown where a test fails."""
    return new_seed()


def test_one_of_many_processes_wins(url: str) -> None:
    """All that settle at once are told the same outcome, which is the promise's."""
    race(url, processes=4, rounds=60 * MANY)


def test_killing_settlers_loses_and_changes_nothing(
    path: Path, url: str, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Acknowledged outcomes stay, of one after another and of many at once."""
    rounds = 40 * MANY
    died, won = killed(url, rounds, seed)

    show(f"{died} settlers killed, {won} of their settles stand; seed {seed}", capsys)
    assert died >= rounds // 4
    assert won > 0
    assert [("ok",)] == rows(path, "PRAGMA integrity_check")


@pytest.mark.parametrize("terms", [False, True])
def test_all_operations_agree(path: Path, seed: int, terms: bool) -> None:
    """
    A generation has one outcome and one set of terms for all, and never comes back.

    Nobody sees damage, a value nobody proposed, his own disposal undone, pending what
    is over, or expired what is not.
    """
    operations = 150 * MANY
    load = turmoil(
        str(path),
        seed,
        processes=3,
        operations=operations,
        terms=terms,
        program=PROGRAM,
    )
    assert [] == list(load)
    assert [("ok",)] == rows(path, "PRAGMA integrity_check")


def test_processes_that_come_and_go_damage_nothing(path: Path) -> None:
    """Twelve that open, settle and end all the time; half of them without closing."""
    seconds, rounds = ("60", "1000000") if TORTURE else ("60", "6")
    words = (str(path), "12", seconds, rounds)
    assert int(run("support.sqlite.coming_and_going", *words)) >= 12 * 6
