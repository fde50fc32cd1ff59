"""
The mutants of the SQLite store, each caught by one of our proofs.

A proof that lets its mutants live proves nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import anyio
import pytest

from dp_backends.sql.sqlite._session import SqliteSession
from dp_core import Resolved, connect
from dp_core.testing.crash import KEEPS, CrashError, Disk
from mutants.sqlite.registry import load_mutants, mutated
from support.file.races import new_seed, turmoil
from support.file.sweeps import missing, need_tools
from support.sqlite.crash_proofs import batches_are_whole, what_was_shown_stays
from support.sqlite.programs import run
from support.sqlite.stores import settle_carelessly
from support.sqlite.sweeps import named, sweep

Proof = Callable[[Path, str], object]


def shown(look: str) -> Proof:
    """Show a dead writer's value in a way, and cut the power."""

    def proof(directory: Path, mutant: str) -> None:
        need_tools()
        missing(Disk.missing(), fails=False)
        with Disk(directory) as disk:
            what_was_shown_stays(disk, look, mutant)

    return proof


def kills(scenario: str, law: str, **options: Any) -> Proof:
    """Kill at every call of a scenario."""

    def proof(directory: Path, mutant: str) -> None:
        need_tools()
        try:
            sweep(directory, named(scenario), mutant=mutant, **options)
        except CrashError as error:
            if law not in error.report.broken:
                pytest.fail(f"another law is broken: {error}")
            raise

    return proof


def cuts(scenario: str, law: str) -> Proof:
    """The same, and cut the power after each kill."""

    def proof(directory: Path, mutant: str) -> None:
        missing(Disk.missing(), fails=False)
        with Disk(directory) as disk:
            after_kill = disk.cut_power
            kills(scenario, law, after_kill=after_kill)(disk.root, mutant)

    return proof


def batches(directory: Path, mutant: str) -> None:
    """Kill in a batch."""
    need_tools()
    batches_are_whole(directory, 8, mutant)


def forks(directory: Path, mutant: str) -> None:
    """Fork with an open store."""
    words = ("locks_of_the_child_hold", f"{directory}/p.db")
    run("support.sqlite.forking", *words, mutant=mutant)


def overtaken(directory: Path, mutant: str) -> None:
    """Settle just before another one does, who has read that it is pending."""
    path = directory / "p.db"
    begin = SqliteSession.begin

    def late(self: SqliteSession) -> None:
        settle_carelessly(path, "x")
        begin(self)

    async def settle() -> object:
        async with connect(f"sqlite:{path}") as promises:
            await promises.promise("kept").resolve(1)
            with patch.object(SqliteSession, "begin", late):
                return await promises.promise("x").resolve(8)

    with mutated(mutant):
        assert Resolved(7) == anyio.run(settle)


def storms(directory: Path, mutant: str) -> None:
    """Let processes settle, dispose and look."""
    load = turmoil(
        f"{directory}/p.db",
        new_seed(),
        processes=3,
        operations=400,
        mutant=mutant,
        program="support.sqlite.random_load",
    )
    assert [] == list(load)


CAUGHT: Final[dict[str, Proof]] = {
    "reads-are-not-made-durable": shown("peek"),
    "lists-are-not-made-durable": shown("list"),
    "acknowledged-before-the-commit": kills("resolve", KEEPS, after_kill=lambda: None),
    "not-synced": cuts("resolve", KEEPS),
    "each-change-is-a-commit": batches,
    "changes-are-not-compared": overtaken,
    "numbers-begin-anew": storms,
    "connections-cross-forks": forks,
}
"""The proof that catches each mutant."""


@pytest.mark.parametrize("mutant", CAUGHT)
def test_a_mutant_is_caught(mutant: str, tmp_path: Path) -> None:
    """The proof fails on the mutant, as its promise is broken."""
    with pytest.raises(AssertionError):
        CAUGHT[mutant](tmp_path, mutant)


def test_every_mutant_is_in_the_table() -> None:
    """None is forgotten."""
    assert set(load_mutants()) == set(CAUGHT)
