"""`dp_backends._system`: the kernel's reports, and what is said of disks."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from unittest.mock import patch

import pytest

from dp_backends._system import (
    Inotify,
    _inotify_checks,
    check_directory,
    check_disk,
    check_reports,
    open_inotify,
)
from dp_backends._system._mounts import file_system_of
from support.core.disks.strangers import as_somebody, in_sight


def reported(inotify: Inotify) -> set[tuple[str | None, str | None]]:
    """Return what the kernel has reported so far."""
    return {(event.directory, event.file) for event in inotify.read()}


@pytest.fixture
def inotify() -> Inotify:
    """Return a new instance."""
    instance = open_inotify()
    assert instance is not None
    return instance


def test_two_names_of_a_directory_are_watched_by_one_watch(
    inotify: Inotify, tmp_path: Path
) -> None:
    """Both are told, and the one that is left goes on when the other is not asked."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").symlink_to("a")
    one, other = str(tmp_path / "a"), str(tmp_path / "b")
    assert inotify.add(one)
    assert inotify.add(other)
    (tmp_path / "a" / "x").touch()
    (tmp_path / "a" / "x").unlink()
    assert {(one, "x"), (other, "x")} == reported(inotify)
    inotify.remove(one)
    (tmp_path / "a" / "y").touch()
    (tmp_path / "a" / "y").unlink()
    assert {(other, "y")} == reported(inotify)


def test_a_forked_child_leaves_the_watches_to_its_parent(
    inotify: Inotify, tmp_path: Path
) -> None:
    """They share the instance: a watch that the child ended would be ended for both."""
    assert inotify.add(str(tmp_path))
    with patch.object(os, "getpid", lambda: 0):
        inotify.remove(str(tmp_path))
    (tmp_path / "x").touch()
    (tmp_path / "x").unlink()
    assert b"x" in os.read(inotify.fd, 1000)


def test_reports_that_the_kernel_dropped_are_told_as_that(inotify: Inotify) -> None:
    """Whoever listens has to look at everything then."""
    ours, theirs = os.pipe2(os.O_NONBLOCK)
    os.dup2(ours, inotify.fd)
    os.write(theirs, struct.pack("iIII", -1, 0x4000, 0, 0))
    assert {(None, None)} == reported(inotify)
    for fd in (ours, theirs):
        os.close(fd)


def test_a_file_system_that_is_not_mounted_has_no_name() -> None:
    """As that of pipes: nothing is said of it, and nothing of how much is free."""
    fds = os.pipe()
    try:
        path = f"/proc/self/fd/{fds[0]}"
        assert file_system_of(os.fstat(fds[0])) is None
        (check,) = check_disk(path, needs_links=False)
        assert ("space", "ok") == (check.name, check.status)
        assert "does not say how much is free" in check.text
    finally:
        for fd in fds:
            os.close(fd)


def test_watches_are_counted_for_a_moment_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With very many processes it is said how many there are at least."""
    before = check_reports(str(tmp_path)).text
    monkeypatch.setattr(_inotify_checks, "_COUNTING_SECONDS", -1.0)
    assert "at least" not in before
    assert "at least" in check_reports(str(tmp_path)).text


def test_a_directory_in_which_nothing_may_be_made_is_a_problem(tmp_path: Path) -> None:
    """It says who is meant, and whose directory that is."""
    in_sight(tmp_path / "x")
    tmp_path.chmod(0o555)
    with as_somebody():
        (check,) = check_directory(str(tmp_path / "new"), makes_it=True)

    assert ("directory", "problem") == (check.name, check.status)
    assert f"may not write into {tmp_path}" in check.text
