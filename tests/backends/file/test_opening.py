"""The directory of a file store: not there, half there, somebody else's, replaced."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import patch

import anyio
import pytest

import dp_core as dp
from dp_backends.file import FileBackend
from dp_backends.file._layout import SHARDS
from dp_backends.file._store import FileStore

ONE = dp.Resolved(b"1")
TWO = dp.Resolved(b"2")


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """
    The directory of a store that is not there yet.

    In memory where there is such a place: each store has some hundred directories, and
    no test here is about what reaches a disk.
    """
    shm = Path("/dev/shm")  # noqa: S108 - a new directory in it is used
    if not os.access(shm, os.W_OK):
        yield tmp_path / "deep" / "store"
        return
    with tempfile.TemporaryDirectory(dir=shm) as directory:
        yield Path(directory, "deep", "store")


def mode(path: Path) -> int:
    """Return the permissions of a file."""
    return stat.S_IMODE(path.stat().st_mode)


def names(path: Path) -> list[str]:
    """Return the names in a directory; none if it is not there."""
    return [child.name for child in path.iterdir()] if path.exists() else []


# A question makes nothing ------------------------------------------------------


async def test_a_question_makes_nothing(
    root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Peeks answer, say once that there is no store, and leave the disk as it was."""
    caplog.set_level("INFO", "dp_backends.file")
    async with dp.connect(f"file:{root}") as promises:
        for id in ("x", "y"):
            assert dp.Pending() == await promises.promise(id).peek()

    assert [] == names(tmp_path)
    assert [f"there is no store of promises at {root} yet"] == caplog.messages


@pytest.mark.parametrize("what", ["nothing", "an empty directory", "lost+found"])
async def test_a_listing_of_no_store_is_empty_and_makes_none(
    root: Path, what: str
) -> None:
    """Who must know whether there is a store can ask; `dp copy` does."""
    there = {"nothing": root.parent.parent, "an empty directory": root}
    await anyio.Path(there.get(what, root / what)).mkdir(parents=True, exist_ok=True)

    async with dp.connect(f"file:{root}") as promises:
        backend = promises.backend
        assert isinstance(backend, FileBackend)
        assert [] == await backend.settled(None, 10)
        assert not await backend.is_made()
        assert ([what] if what == "lost+found" else []) == names(root)
        await promises.promise("x").resolve(1)
        assert await backend.is_made()


@pytest.mark.parametrize("write", ["settle", "dispose"])
def test_the_first_write_makes_the_store(
    root: Path, write: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A settle and a disposal do, without a word; other handles see it at once."""
    store, other = FileStore(str(root)), FileStore(str(root))
    assert dp.Pending() == other.look("x").state
    caplog.clear()

    if write == "settle":
        store.settle("x", ONE)
        assert ONE == other.look("x").state
    else:
        store.dispose("x")
        assert dp.Pending() == other.look("x").state

    assert [] == caplog.messages
    assert (root / "FORMAT").exists()


def test_a_directory_of_somebodys_work_is_no_store(tmp_path: Path) -> None:
    """Neither a question nor a write takes it for one, or changes its mode."""
    (tmp_path / "thesis.tex").touch()
    tmp_path.chmod(0o775)
    store = FileStore(str(tmp_path))

    for call in (lambda: store.look("x"), lambda: store.settle("x", ONE)):
        with pytest.raises(dp.BackendUnavailableError, match=r"thesis\.tex"):
            call()
    assert ["thesis.tex"] == names(tmp_path)
    assert 0o775 == mode(tmp_path)


def test_a_store_may_live_on_a_volume_of_its_own(tmp_path: Path) -> None:
    """What systems put into a directory by themselves is nobody's work."""
    for name in ("lost+found", ".snapshot"):
        (tmp_path / name).mkdir()
    for name in (".DS_Store", ".nfs00000000000a1b2c00000001"):
        (tmp_path / name).touch()

    assert ONE == FileStore(str(tmp_path)).settle("x", ONE)


# What is missing is made again ---------------------------------------------------


@pytest.mark.parametrize("lost", ["empty shards", "all shards", "p"])
def test_what_a_copy_leaves_out_is_made_again(root: Path, lost: str) -> None:
    """A copy file by file has no directories that were empty, at worst no "p"."""
    store = FileStore(str(root))
    if lost != "p":
        store.settle("kept", ONE)
    else:
        store.open()
    copy = root.parent / "copy"
    for path in root.rglob("*"):
        if path.is_file():
            (copy / path.relative_to(root)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, copy / path.relative_to(root))
    if lost == "all shards":
        shutil.rmtree(copy / "p")
        (copy / "p").mkdir()

    copied = FileStore(str(copy))
    assert dp.Pending() == copied.look("other").state
    for number in range(20):
        assert TWO == copied.settle(f"new-{number}", TWO)
    kept = dp.Pending() if lost != "empty shards" else ONE
    assert kept == copied.look("kept").state
    assert set(SHARDS) == set(names(copy / "p"))


@pytest.mark.parametrize("write", ["settle", "dispose"])
@pytest.mark.parametrize("lost", ["its shard", "another shard", "p", "FORMAT"])
def test_what_vanishes_under_a_handle_is_made_again_by_a_write(
    root: Path, write: str, lost: str
) -> None:
    """A look answers without it, and makes nothing."""
    store = FileStore(str(root))
    store.open()
    shard, *others = (store.place(id).shard for id in "xy")
    path = Path({"its shard": shard, "another shard": others[0]}.get(lost, root / lost))
    if lost == "FORMAT":
        path.unlink()
    else:
        shutil.rmtree(path)

    for handle in (store, FileStore(str(root))):
        assert dp.Pending() == handle.look("x").state
        assert not path.exists()
    if write == "settle":
        store.settle("x", ONE)
    else:
        store.dispose("x")

    # A handle that found the store whole does not look for its name again.
    assert path.exists() == (lost != "FORMAT")
    FileStore(str(root)).settle("y", ONE)
    assert path.exists()
    assert set(SHARDS) == set(names(root / "p"))


def test_a_shard_made_again_is_durable_before_what_is_in_it(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where another process made it, and may have died before its fsync."""
    store = FileStore(str(root))
    store.settle("x", ONE)
    shard = Path(store.place("x").shard)
    shutil.rmtree(shard)
    shard.mkdir(mode=0o700)
    fsynced: list[str] = []
    real = os.fsync

    def fsync(fd: int) -> None:
        fsynced.append(str(Path(f"/proc/self/fd/{fd}").readlink()))
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    store.settle("x", ONE)

    assert f"{root}/p" in fsynced
    assert fsynced.index(f"{root}/p") < fsynced.index(str(shard))


def test_a_store_without_its_name_is_completed(root: Path) -> None:
    """
    A power cut may take FORMAT, which was visible, and leave what was durable.

    That is read as it is, and the first write gives it its name.
    """
    store = FileStore(str(root))
    store.settle("x", ONE)
    (root / "FORMAT").unlink()

    store = FileStore(str(root))
    assert ONE == store.look("x").state
    assert ["p"] == names(root)
    store.settle("y", ONE)
    assert (root / "FORMAT").exists()


@pytest.mark.parametrize("name", ["main.py", "0", "000", "FF"])
def test_a_directory_that_is_called_p_is_not_taken_for_a_store(
    tmp_path: Path, name: str
) -> None:
    """Anybody may have one; it is a store's if it has nothing but shards in it."""
    (tmp_path / "p" / name).mkdir(parents=True)
    (tmp_path / "p").chmod(0o775)
    store = FileStore(str(tmp_path))

    for call in (lambda: store.look("x"), lambda: store.settle("x", ONE)):
        with pytest.raises(dp.BackendUnavailableError, match=f"p/{name}"):
            call()
    assert [name] == names(tmp_path / "p")
    assert 0o775 == mode(tmp_path / "p")


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


# Hard links ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "number", ["EPERM", "EACCES", "EMLINK", "ENOSYS", "EXDEV", "ELOOP", "EIO"]
)
def test_a_file_system_without_hard_links_is_called_so(root: Path, number: str) -> None:
    """Whatever the error of link(2) is, when a store is made and later on."""
    store, kept = FileStore(str(root)), FileStore(str(root.parent / "kept"))
    kept.open()

    def link(*names: str) -> None:
        raise OSError(getattr(errno, number), os.strerror(getattr(errno, number)))

    with patch.object(os, "link", link):
        stores = [store, kept] if number != "EIO" else [store]
        for handle in stores:
            with pytest.raises(dp.BackendUnavailableError) as caught:
                handle.settle("x", ONE)
            assert "hard links do not work here" in str(caught.value)
            assert number in str(caught.value)
    assert [] == [p for p in root.parent.rglob("*") if p.name.startswith(".t-")]
    assert ONE == store.settle("x", ONE)


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
        lambda: store.settled(None, 10),
    ):
        with pytest.raises(dp.BackendUnavailableError):
            call()


# Failed fsyncs ---------------------------------------------------------------------


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
