"""The janitor: what it removes, what it leaves, and whom it may disturb."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

import dp_core as dp
from dp_backends.file import _janitor, _publishing
from dp_backends.file._record import FIRST, Record
from dp_backends.file._registry import Listing
from dp_backends.file._store import FileStore
from support.file.stores import age, files, settle_while


def test_the_janitor_removes_old_orphans_only(store: FileStore) -> None:
    """A temporary file may still be in use; after the grace it is not."""
    place = store.place("x")
    old, young = place.temporary("0" * 32), place.temporary("1" * 32)
    for path in (old, young):
        Path(path).write_bytes(b"half a record")
    age(old)

    store.janitor.clean(place.shard)

    assert not Path(old).exists()
    assert Path(young).exists()


def test_the_janitor_removes_the_names_of_dead_outcomes_after_their_grace(
    store: FileStore,
) -> None:
    """Until then a settle that stood still could take the name for free."""
    root, place = Path(store.root), store.place("x")
    store.settle("x", dp.Resolved(b"1"))
    store.dispose("x")
    cleaner = store.janitor

    cleaner.clean(place.shard)
    assert 2 == len(files(root))
    age(place.outcome(FIRST))
    cleaner.clean(place.shard)

    assert [f"{place.name}.head.json"] == files(root)
    assert dp.Pending() == store.look("x").state


def test_the_janitor_erases_what_a_late_settle_wrote(store: FileStore) -> None:
    """An outcome of a dead generation is unreachable, and soon has no content."""
    place = store.place("x")
    store.dispose("x")
    late = Record.new("x", FIRST, dp.Resolved(b'"late"'))
    Path(place.outcome(FIRST)).write_bytes(late.to_bytes())
    assert dp.Pending() == store.look("x").state

    store.janitor.clean(place.shard)

    assert b"" == Path(place.outcome(FIRST)).read_bytes()


STRANGERS = (
    *("README", ".DS_Store", "lost+found", ".nfs000000000012c9f400000003", "a.json"),
    *(".t-mobile.txt", ".t-", f".t-{'a' * 31}", f".t-{'a' * 64}-{'b' * 32}.bak"),
    *(f"{'a' * 64}.json~", f".{'a' * 64}.json.swp", f"#{'a' * 64}.json#"),
    *(f"{'A' * 64}.json", f"{'a' * 64}.JSON", f"{'a' * 63}.json", "head.json"),
    *(f".T-{'a' * 32}", f"{'a' * 64}.head.json.bak", f"{'a' * 64}.tail.json"),
)


def test_strangers_are_neither_touched_nor_believed(store: FileStore) -> None:
    """
    Backups, editors' files and what systems leave stop nothing, however old.

    In the shards, beside them, and in the store's directory: for the janitor, for a
    listing, and for whoever opens the store anew.
    """
    place = store.place("x")
    store.settle("x", dp.Resolved(b"1"))
    store.dispose("x")
    store.settle("y", dp.Resolved(b"2"))
    age(place.outcome(FIRST))
    folders = (place.shard, store.place("y").shard, f"{store.root}/p", store.root)
    strangers = [Path(folder, name) for folder in folders for name in STRANGERS]
    for path in strangers:
        path.write_text("mine")
        age(str(path))

    store.janitor.clean_all()

    assert not Path(place.outcome(FIRST)).exists()
    assert {"mine"} == {path.read_text() for path in strangers}
    for handle in (store, FileStore(store.root)):
        page = Listing(handle).page(dp.Query(), None, 10)
        assert [("y", dp.Resolved(b"2"))] == [(i.id, i.state) for i in page.infos]
        assert () == page.failures
        assert dp.Pending() == handle.look("x").state


@pytest.mark.parametrize("days", [1, -1, 365])
def test_the_clock_of_a_janitors_process_decides_nothing(
    store: FileStore, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    """What is young by the clock of the file system stays, what is old goes."""
    place = store.place("x")
    store.settle("x", dp.Resolved(b"1"))
    store.dispose("x")
    old, young = place.temporary("0" * 32), place.temporary("1" * 32)
    for path in (old, young):
        Path(path).write_bytes(b"half a record")
    age(old)
    now = time.time() + days * 86400
    monkeypatch.setattr(time, "time", lambda: now)

    store.janitor.clean(place.shard)

    assert not Path(old).exists()
    assert Path(young).exists()
    assert Path(place.outcome(FIRST)).exists(), "the name of the dead outcome"


@pytest.mark.slow
def test_dead_generations_go(store: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """After their grace, also in shards that nobody writes to any more."""
    for number in range(300):
        store.settle("x", dp.Resolved(b"%d" % number))
        store.dispose("x")
    shard = Path(store.place("x").shard)
    for path in shard.iterdir():
        age(str(path))
    assert len([*shard.iterdir()]) > 200

    monkeypatch.setattr(_janitor, "_WRITES_PER_CLEANING", 1)
    for number in range(3000):
        store.settle(f"other-{number}", dp.Resolved(b"1"))
        if len([*shard.iterdir()]) < 50:
            break

    assert dp.Pending() == store.look("x").state
    assert len([*shard.iterdir()]) < 50


def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record what reaches the disk, in order."""
    seen: list[str] = []
    for name in ("link", "rename", "unlink", "fsync"):
        real: Any = getattr(os, name)

        def call(*args: Any, real: Any = real, name: str = name) -> Any:
            seen.append(name)
            return real(*args)

        monkeypatch.setattr(os, name, call)
    return seen


def test_the_janitor_never_leaves_one_name_that_is_not_durable(
    store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An orphan is taken from its writer before what it marks is made durable."""
    place = store.place("x")
    Path(place.temporary("0" * 32)).write_bytes(b"")
    age(place.temporary("0" * 32))
    seen = steps(monkeypatch)

    store.janitor.clean(place.shard)

    assert ["rename", "fsync", "unlink"] == seen


def test_a_disposal_moves_the_name_it_was_written_under(
    store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A janitor that takes the file first makes the move fail, not the mark vanish."""
    store.settle("x", dp.Resolved(b"1"))
    seen: list[bool] = []

    def take() -> None:
        for path in Path(store.place("x").shard).glob(".t-*"):
            path.rename(f"{path}-taken")
        monkeypatch.setattr(_publishing, "token_hex", look)

    def look(size: int) -> str:
        seen.append(Path(store.place("x").head).exists())
        return "0" * 32

    settle_while(monkeypatch, "rename", take)
    store.dispose("x")

    assert [False] == seen, "the disposal began anew, and had not moved anything"
    assert dp.Pending() == store.look("x").state


@pytest.mark.parametrize("operation", ["settle", "reject", "dispose"])
@pytest.mark.parametrize("step", ["link", "rename"])
def test_what_a_janitor_takes_too_early_is_begun_anew(
    store: FileStore, monkeypatch: pytest.MonkeyPatch, operation: str, step: str
) -> None:
    """A clock of another process that is a day ahead costs time, and no operation."""
    store.settle("old", dp.Resolved(b"1"))

    def take() -> None:
        for shard in (Path(store.root) / "p").iterdir():
            for path in shard.glob(".t-*"):
                path.unlink()

    settle_while(monkeypatch, step, take)
    if operation == "dispose":
        store.dispose("old")
        assert dp.Pending() == store.look("old").state
    else:
        outcome = dp.Rejected("no") if operation == "reject" else dp.Resolved(b"2")
        assert outcome == store.settle("x", outcome)
        assert outcome == store.look("x").state


def test_the_janitor_leaves_the_living_alone(store: FileStore) -> None:
    """However old, a promise is not rubbish."""
    for id, outcome in {"a": dp.Resolved(b"1"), "b": dp.Rejected("no")}.items():
        store.settle(id, outcome)
        store.dispose(id)
        store.settle(id, outcome)
    store.settle("c", dp.Resolved(b"3"))
    for path in (Path(store.root) / "p").rglob("*"):
        age(str(path))

    store.janitor.clean_all()
    store.janitor.clean_all()

    assert dp.Resolved(b"1") == store.look("a").state
    assert dp.Rejected("no") == store.look("b").state
    assert dp.Resolved(b"3") == store.look("c").state


def test_an_erasure_whose_file_is_taken_is_begun_anew(
    store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A janitor elsewhere may take it for an orphan, if this process stood still."""
    store.settle("x", dp.Resolved(b"1"))
    outcome = Path(store.place("x").outcome(FIRST))

    def take() -> None:
        for path in outcome.parent.glob(".t-*"):
            if not path.stat().st_size:
                path.unlink()

    settle_while(monkeypatch, "rename", take)
    store.dispose("x")

    assert 0 == outcome.stat().st_size
    assert [] == [name for name in files(Path(store.root)) if name.startswith(".t-")]
