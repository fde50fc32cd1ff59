"""Sweeps of the file store, as the tests and the mutants are run."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any, Final

import anyio
import pytest

from dp_core.testing.crash import (
    EVERY_CALL,
    SCENARIOS,
    WRITING_CALLS,
    CrashReport,
    Scenario,
    crash_sweep,
    missing_tools,
)
from mutants.file.registry import mutated
from support.core.torture import TORTURE
from support.file.crash_setups import CHILD, ENVIRONMENT, FILE_SCENARIOS

__all__ = ["ALL", "missing", "named", "need_tools", "show", "sweep", "swept"]

ALL: Final = {s.name: s for s in (*SCENARIOS, *FILE_SCENARIOS)}


def named(*names: str) -> tuple[Scenario, ...]:
    """Return the scenarios of these names."""
    return tuple(ALL[name] for name in names)


def missing(what: str | None, *, fails: bool = True) -> None:
    """
    Skip a test for want of something.

    Args:
        what: What is missing; None if nothing.
        fails: Whether it must not be missing in CI.
    """
    if what is not None and fails and os.environ.get("CI"):
        pytest.fail(f"missing in CI: {what}")
    if what is not None:
        pytest.skip(what)


def show(text: object, capsys: pytest.CaptureFixture[str]) -> None:
    """Tell whoever runs the tests what was covered."""
    with capsys.disabled():
        print(f"\n{text}")


def need_tools() -> None:
    """Skip where nothing can be killed at a system call; fail in CI."""
    missing(missing_tools())


def sweep(directory: Path, loop: str = "asyncio", **options: Any) -> CrashReport:
    """
    Sweep file stores below a directory.

    Args:
        directory: Where the stores go.
        loop: The event loop of those who look afterwards.
        **options: Of `crash_sweep`, and *mutant*: a mistake that all processes
            make, this one too.
    """
    numbers = count()
    mutant = options.pop("mutant", None)
    options = {
        "scenarios": tuple(ALL.values()),
        "child": CHILD,
        "environment": ENVIRONMENT | ({"DP_MUTANT": mutant} if mutant else {}),
    } | options
    with mutated(mutant):
        return swept(
            lambda: f"file:{directory}/{next(numbers)}/deep/store",
            loop,
            is_mutant=mutant is not None,
            **options,
        )


def swept(
    new_store: Callable[[], str], loop: str, *, is_mutant: bool, **options: Any
) -> CrashReport:
    """
    Sweep stores: a mutant until it is caught, and everything where there is time.

    Args:
        new_store: Returns the URL of a new store.
        loop: The event loop of those who look afterwards.
        is_mutant: Whether all processes make a mistake.
        **options: Of `crash_sweep`.
    """
    if is_mutant:
        options = {"stop_at_first": True, "lanes": 1} | options
    elif TORTURE:
        options = {"calls": EVERY_CALL, "every": True} | options
    options = {"calls": WRITING_CALLS} | options

    async def run() -> CrashReport:
        return await crash_sweep(new_store, **options)

    return anyio.run(run, backend=loop)
