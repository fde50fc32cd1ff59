"""The directory of a store, and whose it is: modes, other users, replaced, gone."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import dp_core as dp
from dp_backends.file._registry import Listing
from dp_backends.file._store import FileStore
from support.file.stores import ONE, TWO, mode, names

# Modes -----------------------------------------------------------------------------


@pytest.mark.parametrize("umask", [0o177, 0o777, 0o277, 0o022, 0o000])
def test_modes_do_not_depend_on_the_umask(root: Path, umask: int) -> None:
    """Directories are for their owner, and files too, whatever the umask takes away."""
    before = os.umask(umask)
    try:
        store = FileStore(str(root))
        store.settle("x", ONE)
        store.dispose("x")
        store.settle("x", TWO)
    finally:
        os.umask(before)

    for path in (root.parent, root, *root.rglob("*")):
        assert (0o700 if path.is_dir() else 0o600) == mode(path), path
    assert TWO == FileStore(str(root)).look("x").state


@pytest.mark.parametrize("change", [0o2775, 0o777, 0o770, 0o600])
def test_the_modes_of_our_own_store_are_repaired(
    root: Path, change: int, caplog: pytest.LogCaptureFixture
) -> None:
    """A volume's mount may have changed them; the owner takes the rights back."""
    store = FileStore(str(root))
    store.settle("x", ONE)
    for handle in (store, FileStore(str(root))):
        caplog.clear()
        for path in (root, root / "p"):
            path.chmod(change)

        assert ONE == handle.look("x").state
        assert TWO == handle.settle(f"y{change}", TWO)
        assert 0 == mode(root) & 0o022
        assert 0o700 == mode(root) & 0o700
        assert bool(change & 0o022) == ("others could write" in caplog.text)


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may be others")


@needs_root
def test_a_store_of_somebody_else_is_refused(root: Path) -> None:
    """Neither repaired nor used."""
    FileStore(str(root)).settle("x", ONE)
    os.chown(root, 4711, 4711)

    with pytest.raises(dp.AccessDeniedError, match="4711"):
        FileStore(str(root)).look("x")


def test_a_link_in_the_place_of_a_part_is_refused(root: Path) -> None:
    """It would lead into a directory that somebody else may change."""
    FileStore(str(root)).settle("x", ONE)
    (root / "p").rename(root.parent / "elsewhere")
    (root / "p").symlink_to(root.parent / "elsewhere")

    with pytest.raises(dp.AccessDeniedError, match="p is not a directory, but part"):
        FileStore(str(root)).look("x")


def test_a_mode_that_cannot_be_repaired_is_an_error(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But where nobody at all can write, which is as good."""
    FileStore(str(root)).settle("x", ONE)
    root.chmod(0o777)

    def refuse(number: int) -> None:
        def chmod(*_: object) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "chmod", chmod)

    refuse(errno.EPERM)
    with pytest.raises(dp.AccessDeniedError, match="not permitted"):
        FileStore(str(root)).look("x")
    refuse(errno.EROFS)
    assert ONE == FileStore(str(root)).look("x").state


# Replaced --------------------------------------------------------------------------


def replace(root: Path, make: Callable[[Path], object]) -> None:
    """Put another directory at the path of a store, which is kept beside it."""
    root.rename(root.with_name(f"former-{len(names(root.parent))}"))
    make(root)


def forge(root: Path) -> None:
    """Make a store that says something else."""
    FileStore(str(root)).settle("x", TWO)


def test_a_directory_that_was_made_again_is_opened_anew(root: Path) -> None:
    """By whoever may do so: the handle goes on with what is there now."""
    store = FileStore(str(root))
    store.settle("x", ONE)
    replace(root, forge)

    assert TWO == store.look("x").state
    assert ONE == store.settle("y", ONE)
    assert ONE == FileStore(str(root)).look("y").state


@pytest.mark.parametrize("others", [0o777, 0o775])
def test_a_directory_that_others_may_have_put_there_is_refused(
    root: Path, others: int
) -> None:
    """The parent is not private: the path leads to what nobody vouches for."""
    store = FileStore(str(root))
    store.settle("x", ONE)
    root.parent.chmod(others)
    assert ONE == store.look("x").state, "it is the one that was opened"
    replace(root, forge)

    for call in (lambda: store.look("x"), lambda: store.settle("y", ONE)):
        with pytest.raises(dp.AccessDeniedError, match="not the directory that was"):
            call()
    root.parent.chmod(0o1777)
    assert TWO == store.look("x").state, "in a sticky directory it was ourselves"


@needs_root
def test_what_others_have_written_is_not_believed(root: Path) -> None:
    """A record of another user, in a directory that was open to them for a while."""
    store = FileStore(str(root))
    store.settle("x", ONE)
    for path in Path(store.place("x").shard).iterdir():
        os.chown(path, 4711, 4711)

    with pytest.raises(dp.AccessDeniedError, match="what others have written"):
        store.look("x")


@pytest.mark.parametrize("change", ["moved away", "removed", "emptied", "a file"])
def test_a_store_that_is_gone_is_not_an_empty_one(root: Path, change: str) -> None:
    """Who has seen it is told; nobody settles in a place where it is not."""
    store = FileStore(str(root))
    store.settle("x", ONE)
    root.rename(root.with_name("away"))
    if change == "removed":
        shutil.rmtree(root.with_name("away"))
    if change == "emptied":
        root.mkdir()
    if change == "a file":
        root.touch()

    for call in (
        lambda: store.look("x"),
        lambda: store.settle("x", TWO),
        lambda: store.dispose("x"),
        lambda: Listing(store).page(dp.Query(), None, 10),
    ):
        with pytest.raises(dp.BackendUnavailableError):
            call()
