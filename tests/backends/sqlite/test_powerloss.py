"""The SQLite store under power cuts, on real file systems; needs root."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from dp_core.testing.crash import WRITING_CALLS, Disk
from support.file.sweeps import TORTURE, missing, need_tools, show
from support.sqlite.crash_proofs import LOOKS, what_was_shown_stays
from support.sqlite.sweeps import ALL, sweep

# The calls between which the disk differs.
ORDERING: Final = ("pwrite64", "ftruncate", "fsync", "fdatasync", "unlink", "writev")
SAMPLE: Final = None if TORTURE else 25


@pytest.fixture(params=["ext4", "xfs"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    """A disk whose power can be cut."""
    need_tools()
    missing(Disk.missing(request.param), fails=False)
    with Disk(tmp_path, request.param) as disk:
        yield disk


@pytest.mark.parametrize("reader", [False, True], ids=["unseen", "seen"])
def test_what_was_acknowledged_or_seen_survives_a_power_cut(
    disk: Disk, reader: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    At whatever call a process dies, and then the power goes.

    A value or a disposal that a reader saw in between is there afterwards.
    """
    report = sweep(
        disk.root,
        tuple(ALL.values()),
        after_kill=disk.cut_power,
        reader=reader,
        calls=WRITING_CALLS if TORTURE else ORDERING,
        sample=SAMPLE,
    )

    show(report, capsys)
    assert len(report.kills) >= 20


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("disk", ["ext4"], indirect=True)
def test_what_is_shown_of_a_dead_writer_is_made_durable_first(
    disk: Disk, look: str
) -> None:
    """
    A process killed at the fsync of its commit leaves all of it to be seen.

    Whichever way it is shown to somebody, a power cut does not take it back.
    """
    what_was_shown_stays(disk, look)
