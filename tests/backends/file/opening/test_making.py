"""The directory of a store: not there, half there, and made by the first write."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any
from unittest.mock import patch

import anyio
import pytest

import dp_core as dp
from dp_backends.file import FileBackend, _publishing
from dp_backends.file._layout import SHARDS
from dp_backends.file._store import FileStore
from dp_core.backend import Page
from support.file.stores import ONE, TWO, mode, names

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
        assert Page((), None) == await backend.list(dp.Query(), None, 10)
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


def test_a_shard_that_vanishes_under_a_write_is_made_again(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the very moment of writing: after the handle has seen that it is there."""
    store = FileStore(str(root))
    store.open()
    shard, real = Path(store.place("x").shard), _publishing.write_new_file

    def write_new_file(path: str, data: bytes) -> None:
        if shard.exists() and path.startswith(str(shard)) and not written:
            shard.rmdir()
        written.append(path)
        real(path, data)

    written: list[str] = []
    monkeypatch.setattr(_publishing, "write_new_file", write_new_file)

    assert ONE == store.settle("x", ONE)
    assert 2 == len(written)
    assert ONE == FileStore(str(root)).look("x").state


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


@pytest.mark.parametrize("lie", ["not exclusive", "not counted"])
def test_a_file_system_whose_hard_links_decide_nothing_is_refused(
    root: Path, lie: str
) -> None:
    """Where link(2) replaces, or counts are not told, nobody would be first."""
    real = os.link

    def link(one: str, two: str, **named: Any) -> None:
        if lie == "not counted":
            shutil.copy(one, two)
        elif not Path(two).exists():
            real(one, two, **named)

    with (
        patch.object(os, "link", link),
        pytest.raises(dp.BackendUnavailableError, match="does not count hard links"),
    ):
        FileStore(str(root)).settle("x", ONE)
    assert [] == [path for path in root.rglob("*") if path.is_file()]
