"""The SQLite store under ``kill -9``, before every system call of every operation."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from dp_core.testing.crash import failed_fsync_sweep
from support.file.sweeps import TORTURE, need_tools, show
from support.sqlite.crash_proofs import batches_are_whole
from support.sqlite.sweeps import ALL, sweep

SAMPLE = None if TORTURE else 70


@pytest.fixture(autouse=True)
def tools() -> None:
    """Strace must be there."""
    need_tools()


@pytest.mark.parametrize("after_kill", [None, lambda: None], ids=["watched", "alone"])
def test_it_survives_a_kill_at_any_call(
    after_kill: Callable[[], None] | None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """
    Nothing acknowledged is lost, nothing seen changes, nothing is torn or stuck.

    While others wait, and where the process is the only one: then it recovers the log
    when it opens the database, and moves all of it there when it closes it.
    """
    report = sweep(tmp_path, tuple(ALL.values()), after_kill=after_kill, sample=SAMPLE)

    show(report, capsys)
    assert len(report.kills) >= 50
    assert len(report.missed) <= len(report.kills) // 4


async def test_a_handle_outlives_any_fsync_that_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same handle goes on, and knows what is so; of a store that is made, too."""
    numbers = count()

    report = await failed_fsync_sweep(
        lambda: f"sqlite:{tmp_path}/{next(numbers)}.db",
        errors=("EIO", "ENOSPC") if TORTURE else ("EIO",),
    )

    show(report, capsys)
    assert 4 == len(report.points)
    assert len(report.kills) >= 10


def test_a_batch_that_is_cut_short_tells_nobody_wrongly(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All that came together is settled, or nothing; who is told is told the truth."""
    killed = batches_are_whole(tmp_path, 1024 if TORTURE else 64)

    show(f"{killed} kills in a batch", capsys)
    assert killed >= 20
