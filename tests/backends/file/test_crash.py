"""The file store under ``kill -9``, before every system call of every operation."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest

from dp_core.testing.crash import (
    CHILD,
    SCENARIOS,
    failed_fsync_sweep,
    missing_tools,
)
from support.core.program import UNMEASURED
from support.file.crash_proofs import durable_by_posix, janitor_durable_by_posix
from support.file.sweeps import ALL, TORTURE, named, need_tools, show, sweep

# Else of the scenarios that need a store for each kill, and of those that go
# the same way through the event loop, one does.
QUICK = named(*(name for name in ALL if name != "open a new store"))
QUICK_THROUGH_LOOPS = named(
    "resolve", "lose to a rejection", "dispose of a settled one", "settle two"
)


@pytest.fixture(autouse=True)
def tools() -> None:
    """Strace must be there."""
    need_tools()


def test_the_engine_survives_a_kill_at_any_call(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing acknowledged is lost, nothing seen changes, nothing is torn or stuck."""
    scenarios = tuple(ALL.values()) if TORTURE else QUICK

    report = sweep(tmp_path, scenarios=scenarios)

    show(report, capsys)
    assert {s.name for s in scenarios} == set(report.points)
    assert len(report.kills) >= 300
    assert len(report.missed) <= len(report.kills) // 50


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_the_public_interface_survives_a_kill_at_any_call(
    loop: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same holds with an event loop and its threads in between."""
    scenarios = SCENARIOS if TORTURE else QUICK_THROUGH_LOOPS

    report = sweep(
        tmp_path,
        loop,
        scenarios=scenarios,
        child=(*CHILD, loop),
        environment=UNMEASURED,
    )

    show(report, capsys)
    assert {s.name for s in scenarios} == set(report.points)
    assert len(report.kills) >= 80


async def test_a_handle_outlives_any_fsync_that_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same handle goes on, and knows what is so; of a store that is made, too."""
    numbers = count()

    report = await failed_fsync_sweep(lambda: f"file:{tmp_path}/{next(numbers)}/s")

    show(report, capsys)
    assert 4 == len(report.points)
    assert len(report.kills) >= 40


def test_nothing_is_acknowledged_before_it_is_durable_by_posix(tmp_path: Path) -> None:
    """
    All that an acknowledgement rests on was fsynced, by whomever.

    Also what a process left that was killed before its fsync. No file system
    is asked to do more than it must.
    """
    assert durable_by_posix(tmp_path) >= 20


def test_the_janitor_makes_durable_what_it_clears_the_mark_of(tmp_path: Path) -> None:
    """An old temporary name may be all that says "not known to be durable"."""
    janitor_durable_by_posix(tmp_path)


def test_a_sweep_says_what_it_lacks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without strace it is an error that says what to install, not a success."""
    monkeypatch.setenv("PATH", str(tmp_path))

    assert "apt-get install strace" in (missing_tools() or "")
    with pytest.raises(RuntimeError, match="strace"):
        sweep(tmp_path)
