"""The file backend: what its URLs name, and what a user finds on disk."""

from __future__ import annotations

import errno
import json
import os
import stat
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

import dp_core as dp
from dp_backends.file import FileBackend
from dp_backends.file._layout import GRACE, Place
from dp_backends.file._record import FIRST
from dp_backends.file._store import FileStore
from support.file.stores import files, settle_while


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


# Generations ------------------------------------------------------------------


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
