"""Handles go on after an fsync that failed: of a directory, a disposal, a new store."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import patch

import pytest

import dp_core as dp
from dp_backends.file._store import FileStore
from support.file.stores import ONE, TWO


@pytest.fixture(params=["EIO", "ENOSPC", "EDQUOT", "EROFS"])
def error(request: pytest.FixtureRequest) -> int:
    """The errno of an fsync that fails."""
    return int(getattr(errno, request.param))


class FailingFsync:
    """Lets fsync fail once for one file; what it was to write is lost, and clean."""

    def __init__(self, suffix: str, error: int) -> None:
        self.suffix, self.error = suffix, error
        self.failed = False

    def __call__(self, fd: int) -> None:
        path = str(Path(f"/proc/self/fd/{fd}").readlink())
        if not self.failed and path.endswith(self.suffix):
            self.failed = True
            raise OSError(self.error, os.strerror(self.error))
        _REAL(fd)


_REAL = os.fsync


@pytest.fixture
def fail(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., FailingFsync]]:
    """Return a function that lets one fsync fail."""

    def arm(suffix: str, error: int) -> FailingFsync:
        failing = FailingFsync(suffix, error)
        monkeypatch.setattr(os, "fsync", failing)
        return failing

    yield arm
    monkeypatch.undo()


def test_a_handle_recovers_from_a_failed_fsync_of_a_directory(
    root: Path, fail: Callable[..., FailingFsync], error: int
) -> None:
    """
    What was acknowledged is told at once; what was not is written anew before.

    No later success of an fsync is taken for a proof of what an earlier one lost.
    """
    store = FileStore(str(root))
    store.settle("kept", ONE)
    path = Path(store.place("x").outcome("first"))
    failing = fail(f"/{path.parent.name}", error)
    with pytest.raises(dp.OutcomeUnknownError):
        store.settle("x", ONE)
    assert failing.failed
    before = path.stat()
    assert 2 == before.st_nlink

    assert ONE == store.look("kept").state
    assert ONE == store.look("x").state
    after = path.stat()
    assert before.st_ino != after.st_ino
    assert 1 == after.st_nlink
    assert [] == [p for p in path.parent.iterdir() if p.name.startswith(".t-")]
    assert ONE == store.settle("x", TWO)
    assert TWO == store.settle("y", TWO)


def test_what_cannot_be_written_anew_is_not_told(
    root: Path,
    fail: Callable[..., FailingFsync],
    error: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An outcome that is in doubt is an error until it is durable; nothing is left."""
    store = FileStore(str(root))
    store.settle("kept", ONE)
    path = Path(store.place("x").outcome("first"))
    fail(f"/{path.parent.name}", error)
    with pytest.raises(dp.OutcomeUnknownError):
        store.settle("x", ONE)
    before = sorted(path.parent.iterdir())
    rename = os.rename

    def refuse(one: str, two: str) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "rename", refuse)
    for _ in range(2):
        with pytest.raises(dp.BackendUnavailableError):
            store.look("x")
        assert before == sorted(path.parent.iterdir())
    monkeypatch.setattr(os, "rename", rename)
    assert ONE == store.look("x").state
    assert 1 == path.stat().st_nlink


def test_a_handle_recovers_from_a_failed_fsync_of_a_disposal(
    root: Path, fail: Callable[..., FailingFsync], error: int
) -> None:
    """Its head may be replaced by others, and so is not put back by anybody."""
    store = FileStore(str(root))
    store.settle("x", ONE)
    fail(store.place("x").shard, error)
    with pytest.raises(dp.OutcomeUnknownError):
        store.dispose("x")

    assert dp.Pending() == store.look("x").state
    assert 1 == Path(store.place("x").head).stat().st_nlink
    assert TWO == store.settle("x", TWO)
    assert TWO == FileStore(str(root)).look("x").state


@pytest.mark.parametrize("place", ["deep", "p", "store"])
def test_making_a_store_recovers_from_a_failed_fsync(
    root: Path, fail: Callable[..., FailingFsync], error: int, place: str
) -> None:
    """Of its parent, of its parts, of itself: what was made is made anew."""
    store = FileStore(str(root))
    if place == "deep":
        root.parent.mkdir()
    failing = fail(f"/{place}", error)
    made = []
    real = os.mkdir

    def mkdir(path: str, mode: int) -> None:
        made.append(path)
        real(path, mode)

    with patch.object(os, "mkdir", mkdir):
        with pytest.raises(dp.BackendUnavailableError):
            store.settle("x", ONE)
        assert failing.failed
        first = list(made)
        assert ONE == store.settle("x", ONE)

    # Of the parents, those whose own names are durable stay. Where a file system is
    # read-only, nobody can have made one.
    is_lost = place == "deep" and error != errno.EROFS
    anew = {path for path in first if path.startswith(f"{root}/") or is_lost}
    assert anew <= set(made[len(first) :]), "what was made is made anew"
    assert ONE == FileStore(str(root)).look("x").state


@pytest.mark.parametrize("short", [True, False])
async def test_handles_of_the_public_interface_recover(
    root: Path, fail: Callable[..., FailingFsync], error: int, short: bool
) -> None:
    """Also the one that all of `durable_promise` share, which nobody can open anew."""
    url = f"file:{root}"
    one = dp.durable_promise("x", url) if short else dp.connect(url).promise("x")
    other = dp.durable_promise("y", url) if short else dp.connect(url).promise("y")
    await other.resolve(1)
    fail(FileStore(str(root)).place("x").shard, error)

    with pytest.raises(dp.OutcomeUnknownError):
        await one.resolve(1)

    assert dp.Resolved(1) == await other.peek()
    assert dp.Resolved(1) == await one.peek()
    assert 1 == await one.get()
    assert dp.Resolved(1) == await one.resolve(2)
