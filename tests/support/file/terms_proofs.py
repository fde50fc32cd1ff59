"""
Proofs of what the file store promises about terms; see `crash_proofs`.

All raise an AssertionError if the store does not do what it promises.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

from dp_backends.file import _publishing
from dp_backends.file import _store as _store_module
from dp_backends.file._files import Content
from dp_backends.file._layout import GRACE, Place
from dp_backends.file._reading import PromiseReader
from dp_backends.file._record import FIRST, Record
from dp_backends.file._registry import Listing, Sweeper, _sweeping
from dp_backends.file._store import FileStore
from dp_core import BackendUnavailableError, Pending, Query, Rejected, Terms
from dp_core.testing import DeadlineClock
from mutants.file.registry import mutated
from support.file.crash_setups import value

__all__ = [
    "expiries_are_written",
    "first_terms_stand",
    "listed",
    "markers",
    "markers_outlive_sweeps",
    "order_stays",
    "sweeps_go_on",
    "terms_are_of_one_moment",
]

HOUR: Final = timedelta(hours=1)
LATE: Final = Rejected("late")


def _store(directory: Path) -> FileStore:
    store = FileStore(str(directory / "store"))
    store.open()
    return store


@contextmanager
def _before(owner: object, name: str, meanwhile: Callable[[], None]) -> Iterator[None]:
    """Let something happen, once, just before a function is called."""
    real = getattr(owner, name)
    left = [meanwhile]

    def call(*args: Any, **named: Any) -> Any:
        if left:
            left.pop()()
        return real(*args, **named)

    with patch.object(owner, name, call):
        yield
    assert not left


def markers(store: FileStore) -> list[str]:
    """Return the names of all markers of deadlines."""
    return sorted(p.name for p in Path(store.root, "due").rglob("*") if p.is_file())


def listed(store: FileStore, after: str | None = None, **query: Any) -> list[str]:
    """Return the ids that a handle lists, page by page, each page by a new handle."""
    ids = []
    while True:
        page = Listing(FileStore(store.root)).page(Query(**query), after, 1)
        ids += [info.id for info in page.infos]
        if page.after is None:
            return ids
        after = page.after


def expiries_are_written(directory: Path, mutant: str | None = None) -> None:
    """Once anybody was shown an outcome, all are, whatever the clock says then."""
    store = _store(directory)
    with DeadlineClock() as clock, mutated(mutant):
        store.create("x", Terms(clock.now + HOUR, LATE))
        assert Pending() == store.look("x").state
        clock.advance(HOUR)
        assert LATE == FileStore(store.root).look("x").state
        clock.advance(-24 * HOUR)
        assert LATE == FileStore(store.root).look("x").state
        assert LATE == store.settle("x", value("too late"))
    assert [] == markers(store)


def first_terms_stand(directory: Path, mutant: str | None = None) -> None:
    """Of two who both find no terms, one gives them."""
    store = _store(directory)
    first: Terms[bytes] = Terms(tags={"n": "1"})
    second: Terms[bytes] = Terms(tags={"n": "2"})

    def meanwhile() -> None:
        assert first == FileStore(store.root).create("x", first)

    with mutated(mutant), _before(_publishing, "_link", meanwhile):
        assert first == store.create("x", second)
    assert first == store.look("x").terms


def terms_are_of_one_moment(directory: Path, mutant: str | None = None) -> None:
    """Terms that were given to a settled promise are never seen beside no outcome."""
    store = _store(directory)
    real = PromiseReader._read_of
    left = [FileStore(store.root)]

    def read_of(self: PromiseReader, *args: Any) -> Any:
        found = real(self, *args)
        if left:
            other = left.pop()
            other.settle("x", value("V"))
            other.create("x", Terms(tags={"n": "1"}))
        return found

    with mutated(mutant), patch.object(PromiseReader, "_read_of", read_of):
        view = store.look_at(store.place("x"), whole=True)
    assert view.terms is None or value("V") == view.state


def order_stays(directory: Path, mutant: str | None = None) -> None:
    """
    The order of a listing is by when each was first heard of, for ever.

    Whoever settles or creates it later, and whatever their clocks say.
    """
    store = _store(directory)
    minute = timedelta(minutes=1)
    with DeadlineClock() as clock, mutated(mutant):
        store.settle("a", value("V"))
        for id in ("b", "c", "d"):
            clock.advance(minute)
            store.create(id, Terms(tags={"n": id}))
        (first,) = Listing(store).page(Query(), None, 1).infos
        clock.advance(-HOUR)
        store.settle("c", value("V"))
        store.create("a", Terms())
        clock.advance(2 * HOUR)
        store.settle("b", value("V"))
        assert ["a", "b", "c", "d"] == listed(store)
        assert ["d", "c", "b", "a"] == listed(store, newest=True)
        assert ["b", "c", "d"] == listed(store, first.cursor)
        assert first.cursor == Listing(store).page(Query(), None, 1).infos[0].cursor


def markers_outlive_sweeps(directory: Path, mutant: str | None = None) -> None:
    """
    A creator that is taken for dead, and is not, has a marker all the same.

    Whether the marker was removed before it gave the terms, or just after.
    """
    store = _store(directory)
    real = time.time
    left = ["y"]
    with DeadlineClock() as clock, mutated(mutant):
        clock.advance(clock.now.replace(minute=10) - clock.now)
        due = clock.now.replace(minute=50)

        def removed() -> None:
            for path in Path(store.root, "due").rglob(store.place("x").name):
                path.unlink()

        def later() -> float:
            if left:
                FileStore(store.root).create(left.pop(), Terms(due, LATE))
            return real() + 2 * GRACE

        with _before(_store_module, "publish", removed):
            store.create("x", Terms(due, LATE))
        store.mark_due(store.place("y").name, due)
        with patch.object(_sweeping.time, "time", later):
            Sweeper(store).sweep(10)
        assert sorted(store.place(id).name for id in "xy") == markers(store)
        clock.advance(timedelta(minutes=50))
        Sweeper(store).sweep(10)
        _all_settled(store, "x", "y")


def _all_settled(store: FileStore, *ids: str) -> None:
    """See that promises are settled, without settling them by a look."""
    for id in ids:
        assert os.path.exists(store.place(id).outcome(FIRST)), f"{id} is pending"
        assert LATE == store.look(id).state


def sweeps_go_on(directory: Path, mutant: str | None = None) -> None:
    """
    A promise that cannot be settled is told of, and holds up no other.

    And what a sweep that failed had begun is begun anew by the next one.
    """
    store = _store(directory)
    ids = [str(number) for number in range(6)]
    with DeadlineClock() as clock:
        for number, id in enumerate(ids):
            store.create(id, Terms(clock.now + number * HOUR / 100 + HOUR, LATE))
        clock.advance(2 * HOUR)
        sweeper = Sweeper(store)
        real, read = FileStore._publish, _sweeping.read_file
        files = []

        def publish(self: FileStore, place: Place, record: Record) -> bool:
            if place.id == "1":
                raise BackendUnavailableError("the disk is full")
            return real(self, place, record)

        def read_file(path: str) -> Content | None:
            files.append(path)
            if len(files) == 3:
                raise OSError(errno.EMFILE, "injected")
            return read(path)

        with mutated(mutant):
            with (
                patch.object(_sweeping, "read_file", read_file),
                suppress(BackendUnavailableError),
            ):
                sweeper.sweep(10)
                raise AssertionError("it says nothing of a call that failed")
            with (
                patch.object(FileStore, "_publish", publish),
                suppress(BackendUnavailableError),
            ):
                sweeper.sweep(10)
                raise AssertionError("it says nothing of what it could not settle")
            _all_settled(store, *(id for id in ids if id != "1"))
            clock.advance(HOUR)
            sweeper.sweep(10)
            _all_settled(store, "1")
    assert [] == markers(store)
