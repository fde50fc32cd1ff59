"""
`judged`: verdicts of the kit on many backends, some at a time, in processes.

Several processes at a time are faster, because the kit mostly sleeps. One that is
not that of the tests also isolates the verdicts: a mutant may block its event loop,
and others count the turns of theirs.
"""

from __future__ import annotations

import gc
import multiprocessing
import tempfile
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import anyio
from anyio.lowlevel import checkpoint

from dp_core import Backend
from dp_core.testing import (
    LAWS,
    ConformanceError,
    Effort,
    Outage,
    Violation,
    check_backend,
)
from mutants.contract.registered import Registered
from mutants.contract.registry import MUTANTS, load
from mutants.contract.right import Eager, Right
from mutants.contract.techniques import Directory, Locked, Logged, Monitor, Polling
from mutants.contract.watching import Watching
from support.core.torture import TORTURE

__all__ = [
    "LITTLE",
    "RIGHT",
    "Verdict",
    "its_law",
    "its_violation",
    "judged",
    "other_laws",
    "right",
]

T = TypeVar("T")

Verdict = frozenset[str]
"""The names of the laws that a backend breaks."""

SEED: Final = 1
LITTLE: Final = Effort(histories=8, linger=0.2, volume=200)
LEAST: Final = Effort(histories=2, crowd=16, volume=40, linger=0.05)
OTHERS: Final = LITTLE if TORTURE else LEAST

_PROCESSES: Final = 8
_PATIENT: Final = {"WaitGivesUp": 5.0}
"""How long a promise is left alone, in seconds, for mutants that need it."""

_THOROUGH: Final = {"Coalesces", "DeadlineOfTheFormer", "StaleReplica"}
"""Mutants that are caught by chance, and so need more histories than the others."""

RIGHT: Final = (
    "Directory",
    "Eager",
    "Locked",
    "Logged",
    "Monitor",
    "Polling",
    "Registered",
    "Right",
    "Watching",
)


def judged(
    judge: Callable[[str, str], T], loop: str, names: Iterable[str]
) -> Mapping[str, T]:
    """Return ``{name: verdict}``, as *judge* finds it on an event loop."""
    # A fork would copy locks that threads of earlier tests may hold. So one process
    # begins anew and imports the kit, and the others are forks of that one.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as first:
        return first.submit(_judged_by_forks, judge, loop, list(names)).result()


def _judged_by_forks(
    judge: Callable[[str, str], T], loop: str, names: list[str]
) -> Mapping[str, T]:
    load()
    # The loop is imported when it first runs: once, and not in every fork.
    anyio.run(checkpoint, backend=loop)
    # Forks look for garbage seldom, and not among what was imported.
    gc.freeze()
    gc.set_threshold(50_000)
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(_PROCESSES, context) as pool:
        return dict(zip(names, pool.map(partial(judge, loop), names), strict=True))


def its_law(loop: str, name: str) -> Verdict:
    """Try the law that must catch a mutant."""
    return frozenset(violation.law for violation in _by_its_law(loop, name))


def its_violation(loop: str, name: str) -> str:
    """Return the violation of the law that must catch a mutant, as it is printed."""
    return "\n".join(map(str, _by_its_law(loop, name)))


def _by_its_law(loop: str, name: str) -> tuple[Violation, ...]:
    load()
    mutant = MUTANTS[name]
    effort = Effort(
        histories=240 if name in _THOROUGH else 60,
        linger=_PATIENT.get(name, 0.6),
        patience=1.0,
    )
    opened, outage = mutant.store()
    laws = [LAWS[mutant.law]]
    return _violations(opened, loop, laws=laws, effort=effort, seed=SEED, outage=outage)


def other_laws(loop: str, name: str) -> Verdict:
    """
    Try every law on a mutant but the one that must catch it.

    None is broken then, so all have the time that a slow machine needs. A mistake about
    terms shows only in laws about these: to the others it is `Registered`; one about
    watches is `Watching` to the others.
    """
    load()
    mutant = MUTANTS[name]
    opened, outage = mutant.store()
    about = None
    if issubclass(mutant.backend, Watching):
        about = {"watch"}
    elif issubclass(mutant.backend, Registered):
        about = {"terms", "listing"}
    laws = [
        law
        for law in LAWS.values()
        if law.name != mutant.law and (about is None or law.needs & about)
    ]
    return _broken(opened, loop, laws=laws, effort=OTHERS, seed=SEED, outage=outage)


def right(loop: str, name: str) -> Verdict:
    """Try every law on one of the right backends."""
    with tempfile.TemporaryDirectory() as folder:
        opened, outage = _right_store(name, Path(folder))
        return _broken(opened, loop, effort=LITTLE, outage=outage)


def _right_store(
    name: str, folder: Path
) -> tuple[Callable[[], Backend], Outage | None]:
    if name == "Directory":
        return lambda: Directory(folder), None
    if name == "Polling":
        records: dict[str, Any] = {}
        return lambda: Polling(records), None
    kinds: tuple[type[Right], ...] = (
        Eager,
        Locked,
        Logged,
        Monitor,
        Registered,
        Right,
        Watching,
    )
    kind = {k.__name__: k for k in kinds}[name]
    store = kind.store_type()
    return lambda: kind(store), store.outage


def _broken(opened: Callable[[], Backend], loop: str, **options: Any) -> Verdict:
    violations = _violations(opened, loop, **options)
    return frozenset(violation.law for violation in violations)


def _violations(
    opened: Callable[[], Backend], loop: str, **options: Any
) -> tuple[Violation, ...]:
    async def check() -> tuple[Violation, ...]:
        try:
            await check_backend(
                opened, durable=True, shared=True, own_process=True, **options
            )
        except ConformanceError as error:
            return error.violations
        return ()

    return anyio.run(check, backend=loop)
