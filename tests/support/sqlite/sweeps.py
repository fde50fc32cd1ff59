"""Sweeps of the SQLite store, as the tests and the mutants are run."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from threading import Event
from typing import Any, Final

from dp_backends.sql._working import CreateCall
from dp_backends.sql._working._batch import run_batch
from dp_backends.sql.sqlite._bell import Bell
from dp_backends.sql.sqlite._log import Log
from dp_backends.sql.sqlite._session import SqliteSession
from dp_core import Resolved, Terms
from dp_core.testing.crash import (
    SCENARIOS,
    CrashReport,
    Scenario,
    Step,
)
from mutants.sqlite.registry import mutated
from support.file.crash_setups import ENVIRONMENT
from support.file.sweeps import swept

__all__ = ["ALL", "BATCH", "CHILD", "environment", "named", "path_of", "sweep"]

CHILD: Final = (sys.executable, "-m", "support.sqlite.child")
BATCH: Final = (*CHILD, "batch")


def environment(mutant: str | None = None) -> dict[str, str]:
    """Return the variables of processes that may make a mistake."""
    return ENVIRONMENT | ({"DP_MUTANT": mutant} if mutant else {})


def path_of(url: str) -> str:
    """Return the path of a ``sqlite:`` URL."""
    return url.removeprefix("sqlite:")


_OVER: Final = datetime(2001, 2, 3, tzinfo=UTC)


class _EarlySession(SqliteSession):
    """A session long ago."""

    def now(self) -> datetime:
        return _OVER - timedelta(hours=1)


def let_expire(url: str, prefix: str) -> None:
    """Leave a promise whose deadline is over, and that nobody has looked at since."""
    path = path_of(url)
    bell = Bell(path)
    session = _EarlySession(path, Log(path), bell, Event())
    terms = Terms(_OVER, Resolved(json.dumps("by default").encode()))
    call = CreateCall(f"{prefix}one".encode(), terms)
    run_batch(session, [call], lambda _: None)
    session.close()
    bell.close()
    assert call.outcome()


_PEEK: Final = Step("peek")
_EXPIRE: Final = Step("expire", value="by default")

OWN: Final = (
    Scenario("create what is over in a new store", (_EXPIRE, _PEEK), fresh=True),
    Scenario(
        "create, and settle",
        (Step("create"), Step("resolve", value="the first"), _PEEK),
    ),
    Scenario(
        "settle what is over",
        (Step("resolve", value="too late"), _PEEK),
        prepare=let_expire,
        done=(_EXPIRE,),
    ),
    Scenario("sweep", (Step("sweep"), _PEEK), prepare=let_expire, done=(_EXPIRE,)),
)

ALL: Final = {s.name: s for s in (*SCENARIOS, *OWN)}


def named(*names: str) -> tuple[Scenario, ...]:
    """Return the scenarios of these names."""
    return tuple(ALL[name] for name in names)


def sweep(
    directory: Path,
    scenarios: Sequence[Scenario],
    loop: str = "asyncio",
    **options: Any,
) -> CrashReport:
    """
    Sweep SQLite stores in a directory.

    Args:
        directory: Where the stores go.
        scenarios: The operations of the processes.
        loop: The event loop of those who look afterwards.
        **options: Of `crash_sweep`, and *mutant*: a mistake that all processes
            make, this one too.
    """
    numbers = count()
    mutant = options.pop("mutant", None)
    options = {"child": CHILD, "environment": environment(mutant)} | options
    with mutated(mutant):
        return swept(
            lambda: f"sqlite:{directory}/{next(numbers)}.db",
            loop,
            is_mutant=mutant is not None,
            scenarios=scenarios,
            **options,
        )
