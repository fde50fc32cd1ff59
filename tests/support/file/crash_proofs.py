"""
Proofs of the file store's promises, each to be run on a store and its mutants.

All raise an AssertionError if the store does not do what it promises.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any
from unittest.mock import patch

import anyio

import dp_core as dp
from dp_backends.file._layout import Place
from dp_backends.file._reading import PromiseReader, View
from dp_backends.file._record import FIRST
from dp_backends.file._store import FileStore
from dp_backends.file._watching import _net
from dp_core.testing.crash import WRITING_CALLS, Disk, Lane, Point, Step
from mutants.file.registry import mutated
from support.file.crash_setups import CHILD, ENVIRONMENT, Dying, value
from support.file.strace import Disk as TracedDisk
from support.file.strace import traced

__all__ = [
    "damage_is_noticed",
    "damaged",
    "disposals_shown_are_durable",
    "durable_by_posix",
    "janitor_durable_by_posix",
    "no_wake_up_is_lost",
    "readers_outlive_disposals",
    "short_writes_are_completed",
]


def _lane(mutant: str | None) -> Lane:
    environment = ENVIRONMENT | ({"DP_MUTANT": mutant} if mutant else {})
    return Lane(CHILD, environment, 20)


def _urls(directory: Path) -> Iterator[str]:
    return (f"file:{directory}/{n}/deep/store" for n in count())


def durable_by_posix(directory: Path, mutant: str | None = None) -> int:
    """
    Nothing is acknowledged before all it rests on was fsynced, by whomever.

    A process is killed while it makes a store, gives a promise terms, and settles it
    by them; or while it gives terms without a deadline. Another one does the same then,
    and disposes, and settles again.

    Returns:
        The number of points at which the first one was killed.
    """
    return _durable_by_posix(
        directory / "made", Step("expire", "x", "one"), mutant
    ) + _durable_by_posix(directory / "there", Step("create", "x"), mutant, made=True)


def _durable_by_posix(
    directory: Path, step: Step, mutant: str | None, *, made: bool = False
) -> int:
    steps = [
        step,
        Step("dispose", "x"),
        Step("resolve", "x", "two"),
        Step("peek", "x"),
    ]
    urls = _urls(directory)
    if made:
        urls = (_made(url) for url in urls)
    with _lane(mutant) as lane:
        points, ended = lane.points(next(urls), steps[:1], WRITING_CALLS)
        assert ended.failure is None
        places = list(_changing(points))
        for point in places:
            disk = TracedDisk()
            url = next(urls)
            disk.follow(traced(lane, url, steps[:1], point))
            disk.follow(traced(lane, url, steps))
            assert [] == disk.broken, f"after a kill before {point}: {disk.broken[:2]}"
    return len(places)


def _made(url: str) -> str:
    FileStore(url.removeprefix("file:")).open()
    return url


def _changing(points: Sequence[Point]) -> Iterator[Point]:
    """Yield the points at which names change, or become durable."""
    for point in points:
        # What comes just before an unlink comes just before the next call, too.
        if point.call in {"link", "rename", "fsync", "writev"}:
            yield point
        # Of the 256 directories one is as good as another.
        if point.call == "mkdir" and (point.number < 4 or point.number % 100 == 0):
            yield point


def janitor_durable_by_posix(directory: Path, mutant: str | None = None) -> None:
    """Clearing away the mark of a value makes it durable first."""
    url = next(_urls(directory))
    steps = [Step("resolve", "x", "one")]
    root = url.removeprefix("file:")
    with _lane(mutant) as lane:
        assert lane.run(url, [Step("resolve", "y", "one")]).failure is None
        disk = TracedDisk()
        # After those of "p", of the root, and of the file.
        disk.follow(traced(lane, url, steps, Point("fsync", 4, "of the directory")))
        place = FileStore(root).place("x")
        (mark,) = Path(place.shard).glob(".t-*")
        os.utime(mark, (0, 0))
        cleaning = [Step("clean", "x"), Step("peek", "x")]
        disk.follow(traced(lane, url, cleaning))
    assert not mark.exists()
    assert [] == disk.broken


def disposals_shown_are_durable(disk: Disk, mutant: str | None = None) -> None:
    """
    A head loses a name by being replaced, which does not make it durable.

    Two disposers are killed just after their rename, the second one while a
    reader has the head of the first one open; then the power is cut.
    """
    store = FileStore(f"{disk.root}/store")
    store.settle("x", value("V"))
    head = store.place("x").head
    ready, go = threading.Event(), threading.Event()
    late = threading.Thread(target=Dying(store.root).dispose, args=("x",))
    rename, fstat = os.rename, os.fstat

    def late_rename(*names: str) -> None:
        if threading.current_thread() is late:
            ready.set()
            go.wait()
        rename(*names)

    def late_fstat(fd: int) -> os.stat_result:
        if not go.is_set() and os.readlink(f"/proc/self/fd/{fd}") == head:
            go.set()
            late.join()
        return fstat(fd)

    with patch.object(os, "rename", late_rename):
        late.start()
        assert ready.wait(20)
        Dying(store.root).dispose("x")
        with patch.object(os, "fstat", late_fstat), mutated(mutant):
            shown = FileStore(store.root).look("x")
    assert go.is_set()
    assert dp.Pending() == shown.state
    disk.cut_power()

    assert shown == FileStore(store.root).look("x")


def readers_outlive_disposals(directory: Path, mutant: str | None = None) -> None:
    """A reader that a disposal overtakes sees the state after it."""
    store = FileStore(str(directory / "store"))
    store.settle("x", value("V"))
    real = PromiseReader._view_of
    once = [FileStore(store.root)]

    def view_of(self: PromiseReader, *args: Any, **named: Any) -> Any:
        if once:
            once.pop().dispose("x")
        return real(self, *args, **named)

    with mutated(mutant), patch.object(PromiseReader, "_view_of", view_of):
        try:
            shown = store.look("x")
        except dp.CorruptPromiseError as error:
            raise AssertionError(str(error)) from error
    assert View(store.look("x").generation, dp.Pending()) == shown
    assert FIRST != shown.generation


def no_wake_up_is_lost(directory: Path, mutant: str | None = None) -> None:
    """
    A promise that is settled right after a waiter's look wakes the waiter.

    By the kernel's report: the net of repeated looks is taken away.
    """
    store = FileStore(str(directory / "store"))
    store.open()
    real = FileStore.look_at
    settled: list[str] = []

    def look_at(self: FileStore, place: Place, **named: Any) -> View:
        view = real(self, place, **named)
        if not settled:
            settled.append(place.id)
            store.settle(place.id, value("late"))
        return view

    async def wait() -> None:
        async with dp.connect(f"file:{store.root}") as promises:
            with anyio.move_on_after(30 if mutant is None else 3) as scope:
                assert "late" == await promises.promise("x").get()
        assert not scope.cancelled_caught, "nobody woke the waiter"

    with (
        mutated(mutant),
        # No net, which looks into young directories at once.
        patch.object(_net.Net, "changed", lambda net, seen, is_local: set()),
        patch.object(FileStore, "look_at", look_at),
    ):
        anyio.run(wait)
    assert settled


def short_writes_are_completed(directory: Path, mutant: str | None = None) -> None:
    """The kernel may take less than it was given (write(2))."""
    real = os.write
    for size in (1, 7, 100):
        store = FileStore(str(directory / str(size)))
        store.open()
        with (
            mutated(mutant),
            patch.object(os, "write", lambda fd, data: real(fd, bytes(data)[:size])),  # noqa: B023 - used up in the loop
        ):
            store.settle("x", value("long " * 100))
        try:
            state = store.look("x").state
        except dp.CorruptPromiseError as error:
            raise AssertionError(str(error)) from error
        assert value("long " * 100) == state


def damaged(data: bytes) -> Iterator[bytes]:
    """Yield *data* with each bit flipped, and cut at each length."""
    for place in range(len(data)):
        for bit in range(8):
            yield data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :]
        yield data[:place]
    yield data + b"\n"


def damage_is_noticed(directory: Path, mutant: str | None = None) -> int:
    """
    Every bit flipped, every length: never a value, never pending.

    Of an outcome, and of a head.

    Returns:
        The number of damaged records that were tried.
    """
    store = FileStore(str(directory / "store"))
    store.settle("kept", value("kept"))
    store.settle("x", value("precious"))
    place = store.place("x")
    tried = _every_damage(store, Path(place.outcome(FIRST)), mutant)
    store.dispose("x")
    store.settle("x", value("precious"))
    return tried + _every_damage(store, Path(place.head), mutant)


def _complaint(store: FileStore) -> str:
    """Return what is said of damage; nothing if it is not noticed."""
    try:
        store.look("x")
    except dp.CorruptPromiseError as error:
        return str(error)
    except (ValueError, KeyError, dp.BackendUnavailableError):
        return "another error"
    return ""


def _every_damage(store: FileStore, path: Path, mutant: str | None) -> int:
    good = path.read_bytes()
    tried = 0
    with mutated(mutant):
        for data in damaged(good):
            path.write_bytes(data)
            tried += 1
            assert path.name in _complaint(store), f"{data!r} is no damage?"
    assert value("kept") == store.look("kept").state
    path.write_bytes(good)
    assert value("precious") == store.look("x").state
    return tried
