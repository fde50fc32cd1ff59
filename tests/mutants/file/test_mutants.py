"""
The mutants of the file store, each caught by one of our proofs.

A proof that lets its mutants live proves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Final

import anyio
import pytest

from dp_backends.file._store import FileStore
from dp_core.testing.crash import (
    KEEPS,
    RECOVERS,
    STUCK,
    TORN,
    VANISHED,
    WAKES,
    CrashError,
    Disk,
    failed_fsync_sweep,
)
from mutants.file.registry import load_mutants, mutated
from support.core.torture import TORTURE
from support.file.crash_proofs import (
    damage_is_noticed,
    disposals_shown_are_durable,
    durable_by_posix,
    janitor_durable_by_posix,
    no_wake_up_is_lost,
    readers_outlive_disposals,
    short_writes_are_completed,
)
from support.file.crash_setups import CHILD, ENVIRONMENT
from support.file.failing_calls import OPERATIONS, matrix
from support.file.races import new_seed, race, turmoil
from support.file.sweeps import missing, named, need_tools, sweep
from support.file.terms_proofs import (
    expiries_are_written,
    first_terms_stand,
    markers_outlive_sweeps,
    order_stays,
    sweeps_go_on,
    terms_are_of_one_moment,
)

Proof = Callable[[Path, str], object]


@contextmanager
def broken(law: str) -> Iterator[None]:
    """See to it that a sweep finds this law broken, not just any."""
    try:
        yield
    except CrashError as error:
        if law not in error.report.broken:
            pytest.fail(str(error))
        raise


def kills(scenario: str, law: str, patience: float = 20.0) -> Proof:
    """Kill at every call of a scenario."""

    def proof(directory: Path, mutant: str) -> None:
        need_tools()
        scenarios = named(scenario)
        with broken(law):
            sweep(directory, scenarios=scenarios, mutant=mutant, patience=patience)

    return proof


def cuts(scenario: str, law: str) -> Proof:
    """The same, with a reader, and a power cut after each kill."""

    def proof(directory: Path, mutant: str) -> None:
        need_tools()
        missing(Disk.missing(), fails=False)
        with Disk(directory) as disk, broken(law):
            sweep(
                disk.root,
                scenarios=named(scenario),
                mutant=mutant,
                after_kill=disk.cut_power,
                reader=True,
            )

    return proof


def traces(prove: Callable[[Path, str], object]) -> Proof:
    """A proof that needs strace."""

    def proof(directory: Path, mutant: str) -> None:
        need_tools()
        prove(directory, mutant)

    return proof


def faults(operation: str) -> Proof:
    """Every call of an operation fails, with every error."""

    def proof(directory: Path, mutant: str) -> None:
        with mutated(mutant):
            _, wrong = matrix(directory, OPERATIONS[operation])
        assert [] == wrong

    return proof


def races(directory: Path, mutant: str) -> None:
    """Processes settle the same promises."""
    store = FileStore(str(directory / "store"))
    store.open()
    race(store.root, processes=4, rounds=300, mutant=mutant)


def storms(directory: Path, mutant: str, *, terms: bool = False) -> None:
    """Processes settle, dispose and look."""
    store = FileStore(str(directory / "store"))
    store.open()
    wrong = turmoil(
        store.root,
        new_seed(),
        processes=4,
        operations=800,
        mutant=mutant,
        terms=terms,
    )
    assert [] == list(wrong)


def goes_on(directory: Path, mutant: str) -> None:
    """Each fsync fails once, and the same handle goes on."""
    need_tools()
    numbers = count()
    with broken(RECOVERS):
        anyio.run(
            partial(
                failed_fsync_sweep,
                lambda: f"file:{directory}/{next(numbers)}/s",
                child=CHILD,
                environment=ENVIRONMENT | {"DP_MUTANT": mutant},
                errors=("EIO",),
            )
        )


def hidden(directory: Path, mutant: str) -> None:
    """Two disposers are killed, and the power is cut."""
    missing(Disk.missing(), fails=False)
    with Disk(directory) as disk:
        disposals_shown_are_durable(disk, mutant)


# Mutant, proof, and whether it belongs to the shorter run.
CAUGHT: Final[tuple[tuple[str, Proof, bool], ...]] = (
    ("no-file-fsync", traces(durable_by_posix), True),
    ("no-file-fsync", cuts("resolve", VANISHED), False),
    ("no-directory-fsync", traces(durable_by_posix), False),
    ("no-directory-fsync", cuts("resolve", KEEPS), True),
    ("reader-does-not-help", traces(durable_by_posix), False),
    ("reader-does-not-help", cuts("read and help", KEEPS), True),
    ("mark-removed-before-fsync", traces(durable_by_posix), True),
    ("mark-removed-before-fsync", cuts("resolve", KEEPS), False),
    ("janitor-does-not-fsync", traces(janitor_durable_by_posix), True),
    ("janitor-does-not-fsync", cuts("clean up", KEEPS), False),
    ("disposal-erases-first", kills("dispose of a settled one", TORN), True),
    ("disposal-unlinks", cuts("dispose of a settled one", KEEPS), False),
    ("disposal-unlinks", storms, True),
    ("published-in-place", kills("resolve", TORN), True),
    ("renamed-into-place", races, False),
    ("looked-then-renamed", races, True),
    ("acknowledged-first", kills("reject", KEEPS), True),
    ("loser-told-its-own", races, False),
    ("dead-outcome-believed", readers_outlive_disposals, True),
    ("disposal-shown-too-early", hidden, True),
    ("watched-after-the-look", no_wake_up_is_lost, True),
    ("nobody-listens", kills("resolve", WAKES, 2.0), True),
    ("lock-file", kills("resolve", STUCK, 2.0), True),
    ("fsync-errors-ignored", faults("resolve"), True),
    ("fsync-retried", faults("resolve"), True),
    ("goes-on-after-failed-fsync", faults("look and help"), True),
    ("stops-for-ever", goes_on, True),
    ("short-writes-ignored", short_writes_are_completed, True),
    ("unknown-is-called-untouched", faults("resolve"), True),
    ("rubbish-left-behind", faults("resolve"), True),
    ("descriptors-leaked", faults("look at a settled one"), True),
    ("raw-os-errors", faults("look at a settled one"), True),
    ("damage-is-pending", damage_is_noticed, True),
    ("checksum-ignored", damage_is_noticed, True),
    ("deadline-only-computed", expiries_are_written, True),
    ("deadline-only-computed", partial(storms, terms=True), False),
    ("terms-renamed-into-place", first_terms_stand, True),
    ("terms-beside-an-earlier-state", terms_are_of_one_moment, True),
    ("ordered-by-the-last-change", order_stays, True),
    ("create-begins-anew", order_stays, True),
    ("terms-before-their-marker", traces(durable_by_posix), True),
    ("hours-not-fsynced", traces(durable_by_posix), True),
    ("format-not-raised", traces(durable_by_posix), True),
    ("format-raised-without-fsync", traces(durable_by_posix), True),
    ("creator-trusts-its-marker", markers_outlive_sweeps, True),
    ("sweeper-trusts-its-look", markers_outlive_sweeps, True),
    ("one-failure-stops-a-sweep", sweeps_go_on, True),
    ("unread-markers-forgotten", sweeps_go_on, True),
)


@pytest.mark.parametrize(
    ("mutant", "proof"),
    [
        pytest.param(mutant, proof, id=f"{mutant}-{n}")
        for n, (mutant, proof, quick) in enumerate(CAUGHT)
        if quick or TORTURE
    ],
)
def test_the_mutant_is_caught(mutant: str, proof: Proof, tmp_path: Path) -> None:
    """The proof fails on the mutant."""
    with pytest.raises(AssertionError):
        proof(tmp_path, mutant)


@pytest.mark.parametrize("proof", [no_wake_up_is_lost, readers_outlive_disposals])
def test_a_store_without_a_mistake_passes(proof: Any, tmp_path: Path) -> None:
    """A proof that fails on everything would prove nothing."""
    proof(tmp_path)


def test_every_mutant_is_caught_by_something() -> None:
    """Each has a proof that fails on it."""
    assert {mutant for mutant, _, _ in CAUGHT} == set(load_mutants())


def test_every_mutant_says_what_it_does_and_where_it_was_seen() -> None:
    """A sentence for the mistake, and a source."""
    for mutant in load_mutants().values():
        assert mutant.mistake.endswith(".")
        assert mutant.seen
