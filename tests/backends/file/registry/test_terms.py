"""Terms in the file store: what stands on the disk, and who may still open it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import patch

import pytest

import dp_core as dp
from dp_backends.file import _publishing
from dp_backends.file._layout import SHARDS
from dp_backends.file._opening import _finding
from dp_backends.file._record import FIRST
from dp_backends.file._registry import Sweeper
from dp_backends.file._store import FileStore
from dp_core.testing import DeadlineClock
from support.file.crash_setups import OVER
from support.file.stores import names
from support.file.terms_proofs import (
    expiries_are_written,
    first_terms_stand,
    markers,
    terms_are_of_one_moment,
)
from support.file.waits import LIMIT

ONE = dp.Resolved(b"1")
LATE = dp.Rejected("late")
FAR = datetime(2999, 1, 1, tzinfo=UTC)
TERMS: dp.Terms[bytes] = dp.Terms(FAR, LATE, {"kind": "approval"}, b'{"eur": 12}')


def form(store: FileStore) -> int:
    """Return the format that a store says it has."""
    return int(json.loads(Path(store.root, "FORMAT").read_text())["format"])


def test_terms_are_a_record_that_a_person_can_read(store: FileStore) -> None:
    """One file beside the outcome, a member a line, and an empty marker."""
    store.create("x", TERMS)
    store.settle("x", dp.Resolved(b"1", by="alice"))

    place = store.place("x")
    created = json.loads(Path(place.terms(FIRST)).read_text())
    settled = json.loads(Path(place.outcome(FIRST)).read_text())
    expected = {
        "deadline": "2999-01-01T00:00:00.000Z",
        "otherwise": {"error": "late"},
        "tags": {"kind": "approval"},
        "data": {"eur": 12},
    }
    assert expected == {key: created["created"][key] for key in expected}
    assert (2, created["at"]) == (created["format"], created["since"])
    assert (2, "alice") == (settled["format"], settled["by"])


def test_a_store_gets_its_new_format_with_its_first_terms(store: FileStore) -> None:
    """Outcomes alone leave it to old versions, which refuse one that has terms."""
    store.settle("x", ONE)
    store.dispose("x")
    assert 1 == form(store)
    old = Path(store.place("y").outcome(FIRST))
    store.settle("y", ONE)
    assert b'"format": 1' in old.read_bytes()

    store.create("z", dp.Terms())
    assert 2 == form(store)
    assert ONE == FileStore(store.root).look("y").state
    with (
        patch.object(_finding, "FORMATS", (1,)),
        pytest.raises(dp.BackendUnavailableError, match=r"format 2.*upgrade"),
    ):
        FileStore(store.root).look("y")


@pytest.mark.parametrize("lost", ["FORMAT", "FORMAT and other directories"])
def test_a_store_that_lost_its_format_is_still_kept_from_old_versions(
    store: FileStore, lost: str
) -> None:
    """Whoever gives it its name again looks for terms."""
    store.create("x", TERMS)
    Path(store.root, "FORMAT").unlink()
    if lost != "FORMAT":
        for shard in SHARDS:
            path = Path(store.root, "p", shard)
            if not any(path.iterdir()):
                path.rmdir()

    FileStore(store.root).settle("y", ONE)

    assert 2 == form(store)


def test_a_format_in_doubt_is_made_durable_anew(store: FileStore) -> None:
    """After a failed fsync the next one counts only with something new to write."""
    root = Path(store.root)
    seen: list[int] = []
    real = os.fsync

    def neighbours() -> int:
        return sum(name.startswith(".t-") for name in names(root))

    def fsync(fd: int) -> None:
        path = Path(f"/proc/self/fd/{fd}").readlink()
        if path == root:
            seen.append(neighbours())
            if len(seen) == 1:
                raise OSError(5, "injected")
        real(fd)

    with patch.object(os, "fsync", fsync):
        with pytest.raises(dp.BackendUnavailableError):
            store.create("x", dp.Terms())
        assert 2 == form(store)
        store.create("x", dp.Terms())

    assert len(seen) > 1
    assert [0] + [1] * (len(seen) - 1) == seen
    assert 0 == neighbours()
    _publishing._DOUBTED.clear()


def test_a_format_that_cannot_be_raised_leaves_the_old_one(
    store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No terms are written, no file is left, and old versions still use the store."""
    before, rename = sorted(names(Path(store.root))), os.rename

    def refuse(one: str, two: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "rename", refuse)
    with pytest.raises(dp.BackendUnavailableError):
        store.create("x", dp.Terms())
    assert (1, before) == (form(store), sorted(names(Path(store.root))))
    monkeypatch.setattr(os, "rename", rename)
    store.create("x", dp.Terms())
    assert 2 == form(store)


def test_first_terms_stand(tmp_path: Path) -> None:
    """Of two who both find no terms, one gives them."""
    first_terms_stand(tmp_path)


def test_terms_are_of_one_moment(tmp_path: Path) -> None:
    """Terms that were given to a settled promise are never seen beside no outcome."""
    terms_are_of_one_moment(tmp_path)


def test_expiries_are_written(tmp_path: Path) -> None:
    """Once anybody was shown an outcome, all are, whatever the clock says then."""
    expiries_are_written(tmp_path)


def test_terms_stand_though_what_is_over_cannot_be_settled(store: FileStore) -> None:
    """A create is done when its terms are; whoever asks is told why he is not."""
    real = _publishing.publish
    terms: dp.Terms[bytes] = dp.Terms(OVER, LATE)

    def publish(*args: object) -> bool:
        if args[-1].expired:  # type: ignore[attr-defined] # a record
            raise dp.BackendUnavailableError("the disk is full")
        return real(*args)  # type: ignore[arg-type] # as it was called

    with patch("dp_backends.file._store.publish", publish):
        assert terms == store.create("x", terms)
        for handle in (store, FileStore(store.root)):
            with pytest.raises(dp.BackendUnavailableError, match="disk is full"):
                handle.look("x")

    assert LATE == store.look("x").state


def test_no_marker_outlives_its_promise(store: FileStore) -> None:
    """Whoever settles removes it, and a sweep those that nobody will come back for."""
    with DeadlineClock() as clock:
        for id in ("settled", "expired", "disposed", "erased", "lost"):
            store.create(id, dp.Terms(clock.now + timedelta(hours=1), LATE))
        store.settle("settled", ONE)
        for id in ("disposed", "erased"):
            store.dispose(id)
        Path(store.place("erased").terms(FIRST)).unlink()
        store.mark_due(store.place("lost").name, clock.now + timedelta(hours=2))
        marker = f"{store.place('crashed').name}.{'a' * 32}"
        store.mark_due(marker, clock.now + timedelta(hours=1))
        for path in Path(store.root, "due").rglob(f"{store.place('erased').name}*"):
            os.utime(path, (0, 0))
        clock.advance(timedelta(hours=4))
        assert LATE == store.look("expired").state
        assert 5 == len(markers(store))

        Sweeper(store).sweep(10)
        assert [marker] == markers(store), "it may be just about to give its terms"
        for path in Path(store.root, "due").rglob(marker):
            os.utime(path, (0, 0))
        Sweeper(store).sweep(10)

    assert [] == names(Path(store.root, "due"))


CREATOR = """
import sys, anyio, dp_core as dp
from datetime import timedelta
async def main():
    async with dp.connect(sys.argv[1]) as promises:
        promise = await promises.create("x", deadline=timedelta(seconds=0.2))
        print("created", flush=True)
        await (promise.get() if sys.argv[2] == "waits" else anyio.sleep(60))
anyio.run(main)
"""


async def test_a_deadline_outlives_its_creator_and_its_waiter(tmp_path: Path) -> None:
    """Both are killed before it; whoever asks is told, and so a day before, too."""
    url = f"file:{tmp_path}/s"
    children = [
        subprocess.Popen(  # noqa: ASYNC220 - nothing else runs meanwhile
            [sys.executable, "-c", CREATOR, url, role], stdout=subprocess.PIPE
        )
        for role in ("creates", "waits")
    ]
    for child in children:
        assert child.stdout is not None
        assert b"created\n" == child.stdout.readline()
        child.send_signal(signal.SIGKILL)
        child.wait(LIMIT)
        child.stdout.close()

    with DeadlineClock() as clock:
        clock.advance(timedelta(seconds=1))
        for days in (0, -1):
            clock.advance(timedelta(days=days))
            async with dp.connect(url) as promises:
                promise = promises.promise("x")
                assert dp.Rejected("deadline passed") == await promise.peek()
                assert (await promise.info()).expired
