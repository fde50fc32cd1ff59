"""
The file store under power cuts, on real file systems.

Needs root and a loop device; what POSIX itself demands is proved without in
`test_file_crash`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from dp_core.testing.crash import WRITING_CALLS, Disk
from support.file.crash_proofs import disposals_shown_are_durable
from support.file.sweeps import ALL, TORTURE, missing, named, need_tools, show, sweep

# The calls between which the disk differs.
ORDERING: Final = ("write", "fsync", "link", "rename", "unlink", "writev")
# Whoever looks settles these, so that a reader before the power cut leaves no more
# to be seen than one after it.
SEEN: Final = named("create in a store of format 1", "settle what is over")
QUICK: Final = named(
    "resolve",
    "lose to a value",
    "dispose of a settled one",
    "settle after a disposal",
    "read and help",
    "help a disposal",
    "clean up",
)


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
        scenarios=tuple(ALL.values()) if TORTURE else (*QUICK, *(SEEN * reader)),
        after_kill=disk.cut_power,
        reader=reader,
        calls=WRITING_CALLS if TORTURE else ORDERING,
    )

    show(report, capsys)
    assert len(report.kills) >= 40


def test_what_is_not_fsynced_is_lost(disk: Disk) -> None:
    """The power cut is one: it takes what nobody made durable, and only that."""
    kept, lost = disk.root / "kept", disk.root / "lost"
    kept.write_text("kept")
    for path in (kept, disk.root):
        fd = os.open(path, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)
    lost.write_text("lost")

    disk.cut_power()

    assert "kept" == kept.read_text()
    assert not lost.exists() or "" == lost.read_text()


def test_a_disposal_that_another_one_hides_is_not_shown_before_it_is_durable(
    disk: Disk,
) -> None:
    """A head loses a name by being replaced, which does not make it durable."""
    disposals_shown_are_durable(disk)
