"""Sweeps of the file store: what they settle, what they cost, whom they go on past."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

import dp_core as dp
from dp_backends.file import _files
from dp_backends.file._layout import due_path, hour_of
from dp_backends.file._record import FIRST
from dp_backends.file._registry import Sweeper, _sweeping
from dp_backends.file._store import FileStore
from dp_core.testing import DeadlineClock
from support.file.stores import age
from support.file.terms_proofs import markers, markers_outlive_sweeps, sweeps_go_on

LATE = dp.Rejected("late")
HOUR = timedelta(hours=1)


def lazily(store: FileStore, count: int, deadline: datetime) -> list[str]:
    """Leave promises with a deadline, by the quickest way, without an fsync."""
    ids = [f"lazy-{number}" for number in range(count)]
    with (
        patch.object(_files, "fsync", lambda fd: None),
        patch("dp_backends.file._publishing.fsync", lambda fd: None),
    ):
        for id in ids:
            store.create(id, dp.Terms(deadline, LATE))
    return ids


def is_settled(store: FileStore, id: str) -> bool:
    """Tell whether a promise is settled, without settling it by a look."""
    return Path(store.place(id).outcome(FIRST)).exists()


def counted(call: Callable[[], object], *names: str) -> int:
    """Return how often any of these system calls is made by a call."""
    calls = []
    patches = []
    for name in names:
        real = getattr(os, name)

        def count(*args: Any, _real: Any = real, **named: Any) -> Any:
            calls.append(args)
            return _real(*args, **named)

        patches.append(patch.object(os, name, count))
    for one in patches:
        one.start()
    try:
        call()
    finally:
        for one in patches:
            one.stop()
    return len(calls)


def test_a_thousand_that_are_over_are_settled_by_one_sweep(store: FileStore) -> None:
    """Not one is left, and no marker; another sweep has nothing to look at."""
    with (
        DeadlineClock() as clock,
        patch("dp_backends.file._publishing.fsync", lambda fd: None),
        patch.object(_files, "fsync", lambda fd: None),
    ):
        ids = lazily(store, 1000, clock.now + HOUR)
        sweeper = Sweeper(store)
        assert 1.0 == sweeper.sweep(2000)
        clock.advance(HOUR)
        assert 0.0 == sweeper.sweep(600)
        assert 400 == len(markers(store))
        assert 1.0 == sweeper.sweep(600)
        assert [] == markers(store)
        clock.advance(HOUR)
        sweeper.sweep(1)
        assert sweeper.sweep(1) is None
    assert all(is_settled(store, id) for id in ids)


def test_what_is_not_due_costs_a_sweep_nothing(store: FileStore) -> None:
    """However many markers there are, a sweep opens and lists as much as with none."""
    with DeadlineClock() as clock:
        Sweeper(store).sweep(10)
        due = Path(due_path(store.root, hour_of(clock.now + 5 * HOUR)))
        due.mkdir(parents=True)
        calls = ("open", "listdir", "stat", "lstat")
        few = counted(lambda: Sweeper(store).sweep(10), *calls)
        # Never read, so that nothing need be behind them.
        for number in range(10_000):
            (due / f"{number:064x}").touch()
        assert few == counted(lambda: Sweeper(store).sweep(10), *calls)


def test_what_is_due_later_in_an_hour_is_read_once(store: FileStore) -> None:
    """A sweep at rest costs a few calls, and hears of a new marker all the same."""
    with DeadlineClock() as clock:
        clock.advance(clock.now.replace(minute=10) - clock.now)
        lazily(store, 20, clock.now + timedelta(minutes=40))
        sweeper = Sweeper(store)
        assert 20 == counted(lambda: sweeper.sweep(10), "open")
        assert 0 == counted(lambda: sweeper.sweep(10), "open")
        store.create("new", dp.Terms(clock.now + timedelta(minutes=1), LATE))
        clock.advance(timedelta(minutes=2))
        sweeper.sweep(10)
        assert is_settled(store, "new")


def test_a_clock_set_back_and_forth_settles_nothing_early(store: FileStore) -> None:
    """And nothing is forgotten, by the sweeper that saw the other time."""
    with DeadlineClock() as clock:
        clock.advance(clock.now.replace(minute=10) - clock.now)
        store.create("x", dp.Terms(clock.now + timedelta(minutes=30), LATE))
        sweeper = Sweeper(store)
        for minutes in (20, -200, 190, -10, 20):
            clock.advance(timedelta(minutes=minutes))
            sweeper.sweep(10)
            assert not is_settled(store, "x")
        clock.advance(timedelta(minutes=10))
        sweeper.sweep(10)
        assert is_settled(store, "x")
        clock.advance(-24 * HOUR)
        assert LATE == store.look("x").state
        assert [] == markers(store)


def test_two_sweep_at_once(store: FileStore) -> None:
    """Another process, and another thread of the same handle, do the same meanwhile."""
    sweeper = Sweeper(store)
    real = _sweeping.look_at_all
    left = [sweeper, Sweeper(FileStore(store.root))]

    def look_at_all(places: Any) -> Any:
        if left:
            left.pop().sweep(10)
        return real(places)

    with DeadlineClock() as clock:
        ids = lazily(store, 5, clock.now + HOUR)
        clock.advance(2 * HOUR)
        with patch.object(_sweeping, "look_at_all", look_at_all):
            sweeper.sweep(10)
        sweeper.sweep(10)
        assert {LATE} == {store.look(id).state for id in ids}
        assert [] == markers(store)


@pytest.mark.parametrize("name", [".snapshot", "lost+found", "2026", "mine"])
def test_what_is_no_hour_is_left_alone(store: FileStore, name: str) -> None:
    """Not even an empty directory is removed that somebody else has made."""
    path = Path(store.root, "due", name)
    path.mkdir(parents=True)

    assert Sweeper(store).sweep(10) is None
    assert path.exists()


def test_an_hour_that_vanishes_under_a_creator_is_made_again(store: FileStore) -> None:
    """Whoever sweeps removes hours that are over, at any time, and empty."""
    real = os.open
    removed = []

    def open_(path: Any, *args: Any, **named: Any) -> int:
        if named.get("dir_fd") is not None and not removed:
            removed.append(due_path(store.root, hour_of(past)))
            Path(removed[0]).rmdir()
        return real(path, *args, **named)

    past = datetime(2001, 2, 3).astimezone()
    for _ in range(2):
        with patch.object(os, "open", open_):
            store.mark_due(store.place("x").name, past)
        assert [store.place("x").name] == markers(store)
        store.settle("x", dp.Resolved(b"1"))


def test_markers_outlive_sweeps(tmp_path: Path) -> None:
    """A creator that is taken for dead, and is not, has a marker all the same."""
    markers_outlive_sweeps(tmp_path)


def test_sweeps_go_on(tmp_path: Path) -> None:
    """A promise that cannot be settled is told of, and holds up no other."""
    sweeps_go_on(tmp_path)


def test_what_has_not_changed_is_not_listed_again(
    store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One call says so, once a change is older than a tick of the disk's clock."""
    monkeypatch.setattr(_sweeping, "_TICK", 0.0)
    with DeadlineClock() as clock:
        clock.advance(clock.now.replace(minute=10) - clock.now)
        lazily(store, 3, clock.now + timedelta(minutes=40))
        sweeper = Sweeper(store)
        first = counted(lambda: sweeper.sweep(10), "listdir")
        assert first - 1 == counted(lambda: sweeper.sweep(10), "listdir")


def test_damage_is_for_whoever_asks_and_an_outage_for_whoever_sweeps(
    store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither keeps the others from being settled; what is repaired is settled, too."""
    monkeypatch.setattr(_sweeping, "_TICK", 0.0)
    with DeadlineClock() as clock:
        ids = lazily(store, 3, clock.now + HOUR)
        damaged = Path(store.place("damaged").terms(FIRST))
        newer = Path(store.place("newer").terms(FIRST))
        for id in ("damaged", "newer"):
            store.create(id, dp.Terms(clock.now + HOUR, LATE))
        whole = damaged.read_bytes()
        damaged.write_bytes(whole[:-1])
        record = store.look_at(store.place("newer"), whole=True).created
        assert record is not None
        before = newer.read_bytes()
        with patch("dp_backends.file._record.WITH_TERMS", 3):
            newer.write_bytes(record.to_bytes())
        clock.advance(2 * HOUR)
        sweeper = Sweeper(store)
        for _ in range(2):
            with pytest.raises(dp.BackendUnavailableError, match="format 3"):
                sweeper.sweep(10)
            assert all(is_settled(store, id) for id in ids)
        newer.write_bytes(before)
        sweeper.sweep(10)
        assert is_settled(store, "newer")
        damaged.write_bytes(whole)
        sweeper.sweep(10)
        assert is_settled(store, "damaged")
        assert [] == markers(store)


def test_a_file_that_cannot_be_opened_keeps_no_other_one_pending(
    store: FileStore,
) -> None:
    """It is told after each sweep, and the others are settled."""
    with DeadlineClock() as clock:
        store.create("link", dp.Terms(clock.now + HOUR, LATE))
        ids = lazily(store, 3, clock.now + HOUR)
        link = Path(store.place("link").terms(FIRST))
        link.unlink()
        link.symlink_to("/dev/null")
        clock.advance(2 * HOUR)
        with pytest.raises(dp.AccessDeniedError, match="symbolic link"):
            Sweeper(store).sweep(10)

        assert all(is_settled(store, id) for id in ids)


def test_an_outcome_that_is_damaged_is_for_whoever_asks(store: FileStore) -> None:
    """Also where the terms were read before."""
    with DeadlineClock() as clock:
        clock.advance(clock.now.replace(minute=10) - clock.now)
        store.create("x", dp.Terms(clock.now + timedelta(minutes=30), LATE))
        sweeper = Sweeper(store)
        sweeper.sweep(10)
        Path(store.place("x").outcome(FIRST)).write_bytes(b"damage")
        clock.advance(timedelta(minutes=31))
        sweeper.sweep(10)
        with pytest.raises(dp.CorruptPromiseError):
            store.look("x")


def test_a_clock_that_is_set_back_in_a_sweep_settles_nothing_early(
    store: FileStore,
) -> None:
    """Whoever looks at the promise has the last word, and it is not forgotten."""
    with DeadlineClock() as clock:
        clock.advance(clock.now.replace(minute=10) - clock.now)
        store.create("x", dp.Terms(clock.now + timedelta(minutes=30), LATE))
        sweeper = Sweeper(store)
        with patch.object(_sweeping, "now", lambda: clock.now + timedelta(minutes=40)):
            sweeper.sweep(10)
        assert not is_settled(store, "x")
        clock.advance(timedelta(minutes=31))
        sweeper.sweep(10)
        assert is_settled(store, "x")


def test_an_hour_that_another_one_has_swept_is_passed(store: FileStore) -> None:
    """It is removed with its last marker, between its name and the look into it."""
    with DeadlineClock() as clock:
        past = [lazily(store, 1, clock.now + hours * HOUR)[0] for hours in (1,)]
        later = clock.now + 3 * HOUR
        store.create("later", dp.Terms(later, LATE))
        clock.advance(4 * HOUR)
        sweeper, names = Sweeper(store), Sweeper._names
        left = [FileStore(store.root)]

        def meanwhile(self: Sweeper) -> list[str]:
            found = names(self)
            if left:
                other = left.pop()
                for id in past:
                    other.look(id)
                Path(due_path(store.root, found[0])).rmdir()
            return found

        with patch.object(Sweeper, "_names", meanwhile):
            sweeper.sweep(10)
        assert is_settled(store, "later")


def test_what_is_no_marker_is_left_alone_but_for_old_orphans(store: FileStore) -> None:
    """A creator that died while it wrote one left a temporary name."""
    with DeadlineClock() as clock:
        due = Path(due_path(store.root, hour_of(clock.now - HOUR)))
        due.mkdir(parents=True)
        stranger, young, old = (
            due / "stranger",
            *(Path(due, f".t-{letter * 32}") for letter in "ab"),
        )
        for path in (stranger, young, old):
            path.touch()
        age(str(old))
        sweeper = Sweeper(store)
        for _ in range(2):
            sweeper.sweep(10)
            assert {stranger, young} == set(due.iterdir())
