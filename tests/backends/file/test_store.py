"""The file backend: what its URLs name, and what a user finds on disk."""

from __future__ import annotations

import errno
import json
import os
import stat
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

import dp_core as dp
from dp_backends.file import FileBackend, _janitor, _publishing
from dp_backends.file._layout import GRACE, Place
from dp_backends.file._record import FIRST, Record
from dp_backends.file._store import FileStore


def files(root: Path) -> list[str]:
    """Return the names of all files in the shards."""
    return sorted(path.name for path in (root / "p").rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("file:./promises", "{cwd}/promises"),
        ("file:promises", "{cwd}/promises"),
        ("file:../promises/", "{parent}/promises"),
        ("file:/var/promises", "/var/promises"),
        ("file:///var/promises", "/var/promises"),
        ("file://localhost/var/promises", "/var/promises"),
        ("FILE:/a%20b%3F%25", "/a b?%"),
        ("file:/größe", "/größe"),
        ("file:./~/p", "{cwd}/~/p"),
        ("file:%7E/p", "{cwd}/~/p"),
        ("file:/a~b", "/a~b"),
        ("file:/%20a%20", "/ a "),
        ("file:/%ff", "/\udcff"),
    ],
)
def test_a_url_names_a_directory(url: str, path: str) -> None:
    """Relative or absolute, percent-decoded, as RFC 8089 has it."""
    cwd = Path.cwd()
    expected = path.format(cwd=cwd, parent=cwd.parent)

    assert expected == FileBackend(url).directory


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        ("file:", "it names no directory"),
        ("file://promises/x", "write 'file:./promises/x'"),
        ("file:a%00b", "control character"),
        ("file:./p\r", "control character"),
        ("file:./p%0D%0A", "control character"),
        ("file:/a\tb", "control character"),
        ("file:/a\x7f", "control character"),
        ("file:/a\x85b", "control character"),
        ("file:/a%1Bb", "control character"),
        ("file:./p ", "ends with a blank"),
        ("file: p", "begins or ends with a blank"),
        ("file:~nobody-of-that-name/p", "not a valid home"),
        ("file:\ud800", "lone surrogate"),
        ("file:./x?wait=1", "it has no options"),
        ("file:./x#y", "it has no options"),
    ],
)
def test_a_url_that_names_none_says_what_to_write(url: str, advice: str) -> None:
    """Nobody gets a store where they did not mean to have one."""
    with pytest.raises(dp.UnknownBackendError) as caught:
        dp.connect(url)

    assert advice in str(caught.value)


async def test_naming_a_promise_does_no_io(tmp_path: Path) -> None:
    """The directory is made by the first settle."""
    async with dp.connect(f"file:{tmp_path}/s") as promises:
        promise = promises.promise("x")
        assert not (tmp_path / "s").exists()
        await promise.resolve(1)
        assert (tmp_path / "s" / "FORMAT").exists()


async def test_the_store_is_private(tmp_path: Path) -> None:
    """Directories are for their owner alone, and so are records."""
    root = tmp_path / "s"
    async with dp.connect(f"file:{root}") as promises:
        await promises.promise("x").resolve("secret")

    for path in [root, *root.rglob("*")]:
        assert 0o700 if path.is_dir() else 0o600 == stat.S_IMODE(path.stat().st_mode)


async def test_a_record_is_json_that_a_person_can_read(tmp_path: Path) -> None:
    """One member a line; the value is there as it was given."""
    value = {"total": 12.5, "who": "Zoë", "big": 10**30}
    async with dp.connect(f"file:{tmp_path}/s") as promises:
        await promises.promise("order/17\n").resolve(value)
        await promises.promise("no").reject("Oh dear")

    found = {
        record["id"]: (record, path)
        for path in (tmp_path / "s" / "p").rglob("*.json")
        for record in [json.loads(path.read_text())]
    }
    record, path = found["order/17\n"]
    assert value == record["resolved"]
    assert 1 == record["format"]
    assert os.getpid() == record["pid"]
    assert "Zoë" in path.read_text()
    assert "Oh dear" == found["no"][0]["rejected"]


async def test_a_settled_promise_is_one_file_with_one_name(tmp_path: Path) -> None:
    """Nothing temporary is left, and the link count says durable."""
    async with dp.connect(f"file:{tmp_path}/s") as promises:
        for _ in range(3):
            await promises.promise("x").resolve(1)

    (path,) = (path for path in (tmp_path / "s" / "p").rglob("*") if path.is_file())
    assert 1 == path.stat().st_nlink


async def test_a_disposed_promise_leaves_its_generation_and_no_value(
    tmp_path: Path,
) -> None:
    """Outcomes are erased at once, in every generation."""
    root = tmp_path / "s"
    async with dp.connect(f"file:{root}") as promises:
        promise = promises.promise("x")
        for secret in ("secret one", "secret two"):
            await promise.resolve(secret)
            await promise.dispose()

    texts = [path.read_text() for path in (root / "p").rglob("*") if path.is_file()]
    assert not any("secret" in text for text in texts)
    assert 3 == len(texts), "the head, and two names without content"
    assert 1 == sum('"disposed": true' in text for text in texts)


# The janitor ------------------------------------------------------------------


def age(path: str) -> None:
    """Let a file be older than the janitor's grace."""
    then = time.time() - GRACE - 60
    os.utime(path, (then, then))


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    """Make a store."""
    store = FileStore(str(tmp_path / "s"))
    store.open()
    return store


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
        assert [("y", dp.Resolved(b"2"))] == handle.settled(None, 10)
        assert dp.Pending() == handle.look("x").state


def make_directory(path: Path) -> None:
    """Put a directory where a record should be."""
    path.mkdir()


def make_pipe(path: Path) -> None:
    """Put a pipe there, which nobody writes to."""
    os.mkfifo(path)


@pytest.mark.parametrize("put", [make_directory, make_pipe])
@pytest.mark.parametrize("name", ["outcome", "head"])
def test_what_is_not_a_file_is_damage(
    store: FileStore, put: Callable[[Path], None], name: str
) -> None:
    """It is neither waited for nor taken for a pending promise."""
    place = store.place("x")
    put(Path(place.head if name == "head" else place.outcome(FIRST)))

    with pytest.raises(dp.CorruptPromiseError, match="is not a file"):
        store.look("x")
    with pytest.raises(dp.CorruptPromiseError, match="is not a file"):
        store.settle("x", dp.Resolved(b"1"))


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


@pytest.mark.parametrize("step", ["link", "rename"])
def test_what_was_done_although_the_answer_was_an_error_counts_as_done(
    store: FileStore, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Over a network the answer can get lost; the names tell what happened."""
    real: Any = getattr(os, step)
    store.settle("x", dp.Resolved(b"1"))

    def lossy(*args: Any) -> None:
        real(*args)
        monkeypatch.setattr(os, step, real)
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, step, lossy)
    if step == "link":
        assert dp.Resolved(b"2") == store.settle("y", dp.Resolved(b"2"))
        assert dp.Resolved(b"2") == store.look("y").state
    else:
        store.dispose("x")
        assert dp.Pending() == store.look("x").state


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


# Generations ------------------------------------------------------------------


def settle_while(
    monkeypatch: pytest.MonkeyPatch, step: str, meanwhile: Callable[[], None]
) -> None:
    """Let *meanwhile* happen, once, just before the system call *step*."""
    real: Any = getattr(os, step)

    def call(*args: Any, **kwargs: Any) -> Any:
        monkeypatch.setattr(os, step, real)
        meanwhile()
        return real(*args, **kwargs)

    monkeypatch.setattr(os, step, call)


def test_a_settle_that_a_disposal_overtook_counts_as_before_it(
    store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told its own outcome, and the new generation knows nothing of it."""
    settle_while(monkeypatch, "link", lambda: store.dispose("x"))

    assert dp.Resolved(b"1") == store.settle("x", dp.Resolved(b"1"))
    assert dp.Pending() == store.look("x").state


def test_a_settle_of_a_dead_generation_loses_to_what_stood_there(
    store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name of a dead outcome is taken, so that it settles the new generation."""

    def meanwhile() -> None:
        store.settle("x", dp.Resolved(b"first"))
        store.dispose("x")

    settle_while(monkeypatch, "link", meanwhile)

    assert dp.Resolved(b"late") == store.settle("x", dp.Resolved(b"late"))
    assert dp.Resolved(b"late") == store.look("x").state


@pytest.mark.parametrize("clock", ["boot", "wall"])
def test_a_settle_that_stood_still_too_long_does_not_guess(
    store: FileStore, monkeypatch: pytest.MonkeyPatch, clock: str
) -> None:
    """After the grace, by either clock, a free name proves nothing any more."""
    now = 0.0

    def meanwhile() -> None:
        nonlocal now
        store.dispose("x")
        now = GRACE

    clocks = {"boot": lambda: (now, 0.0), "wall": lambda: (0.0, now)}
    monkeypatch.setattr("dp_backends.file._store._now", clocks[clock])
    settle_while(monkeypatch, "link", meanwhile)

    with pytest.raises(dp.OutcomeUnknownError, match="repeat the call"):
        store.settle("x", dp.Resolved(b"1"))
    assert dp.Pending() == store.look("x").state


def test_a_record_of_another_promise_is_damage(store: FileStore) -> None:
    """A file that was copied to another name is never taken for its promise."""
    store.settle("a", dp.Resolved(b"1"))
    a, b = store.place("a"), store.place("b")
    Path(b.outcome(FIRST)).write_bytes(Path(a.outcome(FIRST)).read_bytes())

    with pytest.raises(dp.CorruptPromiseError, match="belongs elsewhere"):
        store.look("b")


def test_names_cannot_leave_the_store(store: FileStore) -> None:
    """An id is hashed, whatever it says."""
    for id in ("../../etc/passwd", "/etc/passwd", ".", "a/b", ".t-x", "x" * 1024):
        store.settle(id, dp.Resolved(b"1"))
        assert str(Path(store.root) / "p") == str(
            Path(Place.of(store.root, id).shard).parent
        )
    assert 6 == len(files(Path(store.root)))


async def test_the_event_loop_never_waits_for_the_disk(tmp_path: Path) -> None:
    """No file is opened, written or made durable in the loop's own thread."""
    mine = threading.get_ident()
    seen: list[str] = []

    def audit(event: str, args: Any) -> None:
        if (
            recording
            and threading.get_ident() == mine
            and event in ("open", "os.link", "os.rename", "os.remove", "os.mkdir")
            and str(tmp_path) in str(args[0])
        ):
            seen.append(event)

    recording = True
    sys.addaudithook(audit)
    try:
        async with dp.connect(f"file:{tmp_path}/s") as promises:
            promise = promises.promise("x")
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(promise.get)
                await promise.resolve(1)
            await promise.peek()
            await promise.dispose()
    finally:
        recording = False

    assert [] == seen
