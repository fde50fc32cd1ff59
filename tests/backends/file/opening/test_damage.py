"""The file store where records are damaged, or a directory is not a store."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Final
from unittest.mock import patch

import anyio
import pytest

import dp_core as dp
from dp_backends.file import _janitor
from dp_backends.file._record import _TAIL, FIRST
from dp_backends.file._store import FileStore
from support.file.crash_proofs import damage_is_noticed, damaged
from support.file.crash_setups import value
from support.file.stores import head_of, outcome_of

SOMEBODY: Final = 65534


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    """A store with one settled promise, "kept"."""
    store = FileStore(str(tmp_path / "store"))
    store.settle("kept", value("kept"))
    return store


# Damage ---------------------------------------------------------------------


@pytest.mark.slow
def test_any_damage_is_noticed(tmp_path: Path) -> None:
    """Every bit flipped, every length: never a value, never pending."""
    assert damage_is_noticed(tmp_path) > 4000


def test_a_damaged_format_is_no_store(store: FileStore) -> None:
    """Nobody writes into a store whose format cannot be told."""
    path = Path(store.root, "FORMAT")
    good = path.read_bytes()

    for data in damaged(good):
        if data.strip() == good.strip():
            continue
        path.write_bytes(data)
        with pytest.raises(dp.BackendUnavailableError, match=r"format|damaged") as told:
            FileStore(store.root).settle("x", value("ours"))

    assert "upgrade" not in str(told.value)
    path.write_text(str(told.value).partition("write into it: ")[2])
    assert value("kept") == FileStore(store.root).look("kept").state
    path.write_bytes(good)
    assert dp.Pending() == FileStore(store.root).look("x").state


async def test_users_hear_of_damage(store: FileStore) -> None:
    """Calls for a damaged promise get an error, calls for others their outcome."""
    path = outcome_of(store)
    path.write_bytes(path.read_bytes().replace(b"precious", b"precioUs"))

    async with dp.connect(f"file:{store.root}") as promises:
        broken = promises.promise("x")
        for operation in (broken.peek, broken.get, lambda: broken.resolve(1)):
            with pytest.raises(dp.CorruptPromiseError, match="dispose of"):
                await operation()
        assert "kept" == await promises.promise("kept").get()
        await broken.dispose()
        assert dp.Pending() == await broken.peek()


def test_a_damaged_head_can_be_disposed_of(store: FileStore) -> None:
    """No former outcome comes back, and the id can be used again."""
    path = head_of(store)
    for data in (path.read_bytes()[:-1], b"", outcome_of(store).read_bytes()):
        path.write_bytes(data)
        with pytest.raises(dp.CorruptPromiseError, match="dispose of the promise"):
            store.look("x")
        store.dispose("x")
        assert dp.Pending() == store.look("x").state
        assert value("new") == store.settle("x", value("new"))


def test_what_a_newer_version_wrote_is_not_disposed_of(store: FileStore) -> None:
    """A head that this version cannot read stays, and the reader hears why."""
    path = head_of(store)
    body = path.read_bytes().replace(b'"format": 1', b'"format": 3').rpartition(b",\n")
    path.write_bytes(_TAIL.join([body[0], b""]) % sha256(body[0]).hexdigest().encode())
    before = path.read_bytes()

    for act in (store.look, store.dispose):
        with pytest.raises(dp.BackendUnavailableError, match=r"format 3.*upgrade"):
            act("x")
    assert before == path.read_bytes()


def test_who_died_making_the_store_leaves_nothing_for_ever(store: FileStore) -> None:
    """Orphans beside FORMAT go once they are old; FORMAT stays."""
    old, new = (Path(store.root, f".t-{letter * 32}") for letter in "ab")
    old.write_text("")
    new.write_text("")
    os.utime(old, (0, 0))

    store.janitor.clean_all()

    assert {"FORMAT", "p", new.name} == {
        path.name for path in Path(store.root).iterdir()
    }


def test_a_record_in_place_of_a_head_is_damage(store: FileStore) -> None:
    """A copied file is no disposal, however right its checksum is."""
    outcome = outcome_of(store)
    shutil.copy(outcome, store.place("x").head)

    with pytest.raises(dp.CorruptPromiseError, match="belongs elsewhere"):
        store.look("x")


def test_the_janitor_minds_its_own_business(store: FileStore) -> None:
    """A damaged head is an error for its own promise, not for a neighbour."""
    neighbour = next(
        id
        for id in map(str, range(10_000))
        if store.place(id).shard == store.place("x").shard
    )
    head = head_of(store)
    damage = head.read_bytes()[:-1]
    head.write_bytes(damage)
    outcomes = {
        path: path.read_bytes()
        for path in Path(store.place("x").shard).glob(f"{store.place('x').name}*")
    }

    with patch.object(_janitor, "_WRITES_PER_CLEANING", 1):
        assert value("ours") == store.settle(neighbour, value("ours"))

    # Nobody can tell which of its outcomes is the living one.
    assert outcomes == {path: path.read_bytes() for path in outcomes}


def test_a_head_that_vanishes_buries_nothing(store: FileStore) -> None:
    """The janitor takes no outcome for dead whose head it cannot read."""
    place = store.place("x")
    head = head_of(store)
    living = Path(place.outcome(store.look("x").generation))
    listing = [path.name for path in Path(place.shard).iterdir()]
    head.unlink()

    with patch.object(os, "listdir", lambda path: listing):
        store.janitor.clean(place.shard)

    assert b"precious" in living.read_bytes()


# Directories that are no store of ours --------------------------------------


@pytest.fixture
def public() -> Iterator[Path]:
    """A directory that everybody can reach."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory)
        path.chmod(0o755)
        yield path
        path.chmod(0o755)


def contents(directory: Path) -> set[str]:
    """Return the names of all that is in a directory."""
    return {str(path) for path in directory.rglob("*")}


def refused(
    root: Path, kind: type[dp.DurablePromiseError], *words: str, asked: bool = True
) -> None:
    """
    See any use of *root* refused, in words, and nothing changed there.

    Args:
        root: The directory.
        kind: The error.
        words: What the error says.
        asked: Whether questions are refused, too: where no store is, they are not.
    """
    before = contents(root) if root.is_dir() else set()
    for act in (
        *([lambda store: store.look("x")] if asked else []),
        lambda store: store.settle("x", value("ours")),
        lambda store: store.dispose("x"),
    ):
        with pytest.raises(kind) as caught:
            act(FileStore(str(root)))
        for word in (str(root), *words):
            assert word in str(caught.value)
    if root.is_dir():
        assert before == contents(root)


def test_an_empty_directory_of_somebody_else(public: Path) -> None:
    """It does not become a store, and is none to those who ask."""
    if os.geteuid() != 0:
        pytest.skip("only root can give a directory away")
    root = public / "store"
    root.mkdir()
    os.chown(root, SOMEBODY, -1)

    refused(root, dp.AccessDeniedError, f"user {SOMEBODY}", "dp serve", asked=False)
    assert dp.Pending() == FileStore(str(root)).look("x").state


def test_a_place_where_no_directory_may_be_made(public: Path) -> None:
    """Permission is denied, and the store named."""
    public.chmod(0o555)
    root = public / "deep" / "store"

    as_somebody(
        lambda: refused(root, dp.AccessDeniedError, "permission denied", asked=False)
    )


def test_a_plain_file_in_the_way(tmp_path: Path) -> None:
    """A plain file is refused, as the store and above it."""
    path = tmp_path / "file"
    path.write_text("mine")

    refused(path, dp.BackendUnavailableError, "write sqlite: in place of file:")
    refused(path / "store", dp.BackendUnavailableError, "not a directory")
    assert "mine" == path.read_text()


def test_a_directory_with_something_else_in_it(tmp_path: Path) -> None:
    """Nobody's home directory becomes a store by a slip."""
    (tmp_path / "letter").write_text("mine")

    refused(tmp_path, dp.BackendUnavailableError, "'letter'", "of its own")


def test_a_store_of_a_newer_version(store: FileStore) -> None:
    """It is not touched, and the reader is told what to do."""
    Path(store.root, "FORMAT").write_text('{"format": 3}\n')

    refused(Path(store.root), dp.BackendUnavailableError, "format 3", "upgrade")


def test_a_symbolic_link_in_place_of_a_record(store: FileStore, tmp_path: Path) -> None:
    """It is not followed, wherever it leads."""
    secret = tmp_path / "secret"
    secret.write_text("secret")
    Path(store.place("x").outcome(FIRST)).symlink_to(secret)

    with pytest.raises(dp.AccessDeniedError, match="symbolic link"):
        store.look("x")


def test_a_store_that_can_only_be_read(store: FileStore, public: Path) -> None:
    """Outcomes can be read; everything else is refused."""
    root = public / "store"
    shutil.copytree(store.root, root)
    for path in (root, *root.rglob("*")):
        if os.geteuid() == 0:
            os.chown(path, SOMEBODY, -1)
        path.chmod(0o500 if path.is_dir() else 0o400)

    def use() -> None:
        reader = FileStore(str(root))
        view = reader.look("kept")
        assert (FIRST, value("kept")) == (view.generation, view.state)
        assert dp.Pending() == reader.look("x").state
        with pytest.raises(dp.AccessDeniedError, match="permission denied"):
            reader.settle("x", value("ours"))

    try:
        as_somebody(use)
    finally:
        for path in (root, *root.rglob("*")):
            path.chmod(0o700)


def as_somebody(act: Callable[[], None]) -> None:
    """Run *act* as a user who is not root."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(SOMEBODY)
    try:
        act()
    finally:
        if before == 0:
            os.seteuid(before)


@pytest.mark.slow
async def test_a_directory_that_is_away_under_a_waiter(store: FileStore) -> None:
    """It goes on waiting, and hears of an outcome when the directory is back."""
    away = f"{store.root}-away"
    told: list[str] = []

    async def wait(promises: dp.Promises) -> None:
        told.append(await promises.promise("x").get())

    async with dp.connect(f"file:{store.root}") as promises:
        assert dp.Pending() == await promises.promise("x").peek()
        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait, promises)
                await anyio.wait_all_tasks_blocked()
                shutil.move(store.root, away)
                with pytest.raises(dp.BackendUnavailableError, match="removed"):
                    await promises.promise("x").get(timeout=0.5)
                FileStore(away).settle("x", value("back"))
                assert [] == told
                shutil.move(away, store.root)

    assert ["back"] == told
