"""Waits for promises in directories: who wakes whom, and at what cost."""

from __future__ import annotations

import errno
import gc
import os
import shutil
import subprocess
import sys
import threading
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import anyio
import pytest

import dp_core as dp
from dp_backends.file._layout import Place
from dp_backends.file._store import FileStore, View
from dp_backends.file._watching import (
    WATCHERS,
    Watcher,
    WatchStats,
    _entries,
    _inotify,
    _watch,
)

RESOLVER = """
import sys, anyio, dp_core as dp
_, url, id, value = sys.argv
anyio.run(lambda: dp.connect(url).promise(id).resolve(value))
"""

LIMIT = 30.0
"""Seconds after which a test that should have gone on has failed."""


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Name a store of its own for each test."""
    return f"file:{tmp_path}/s"


async def joined(waiters: int) -> None:
    """Return when so many waiters have seen the promise pending."""
    watcher = WATCHERS.get()
    with anyio.fail_after(LIMIT):
        while waiters != watcher.stats().waiting:  # noqa: ASYNC110 - there is no event for that
            # Not a bare checkpoint: a loop that spins starves the threads that look.
            await anyio.sleep(0.001)


def resolve_elsewhere(url: str, id: str, value: str) -> None:
    """Resolve a promise in another process."""
    subprocess.run(
        [
            sys.executable,
            "-c",
            RESOLVER,
            url,
            id,
            value,
        ],
        check=True,
        timeout=LIMIT,
    )


async def test_a_waiter_is_woken_from_another_process(url: str) -> None:
    """Neither process knows of the other; the directory is all they share."""
    async with dp.connect(url) as promises:
        promise = promises.promise("x")

        async def settle() -> None:
            await joined(1)
            await anyio.to_thread.run_sync(resolve_elsewhere, url, "x", "from afar")

        with anyio.fail_after(LIMIT):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(settle)
                assert "from afar" == await promise.get()


async def test_waiters_hold_no_thread_and_no_descriptor(url: str) -> None:
    """A thousand waits cost as many descriptors and threads as one."""

    def cost() -> tuple[int, int]:
        return len(list(Path("/proc/self/fd").iterdir())), threading.active_count()

    async with dp.connect(url) as promises:
        before: tuple[int, int] | None = None
        async with anyio.create_task_group() as tasks:
            for number in range(1000):
                tasks.start_soon(promises.promise(f"n{number % 500}").get)
                if number in (50, 999):
                    await joined(number + 1)
                    before = before or cost()
            assert before is not None
            assert cost()[0] <= before[0]
            # Event loops keep a few idle threads; they do not grow with waits.
            assert cost()[1] <= before[1] + 4
            tasks.cancel_scope.cancel()

    assert WatchStats(0, 0, 0, 0, 0) == WATCHERS.get().stats()


@pytest.mark.parametrize("cancelled", [[0], [1], [4], [0, 1, 2], [2, 3, 4]], ids=str)
async def test_whoever_is_cancelled_the_others_still_wake(
    url: str, cancelled: list[int]
) -> None:
    """Also when it is the one that leads, or the one that would lead next."""
    async with dp.connect(url) as promises:
        promise = promises.promise("x")
        woken: list[int] = []
        scopes = [anyio.CancelScope() for _ in range(5)]

        async def wait(number: int) -> None:
            with scopes[number]:
                await promise.get()
                woken.append(number)

        with anyio.fail_after(LIMIT):
            async with anyio.create_task_group() as tasks:
                for number in range(5):
                    tasks.start_soon(wait, number)
                    await joined(number + 1)
                for number in cancelled:
                    scopes[number].cancel()
                await joined(5 - len(cancelled))
                await promise.resolve(1)

    assert sorted(set(range(5)) - set(cancelled)) == sorted(woken)


async def test_a_cancelled_leader_hands_over_at_any_moment(url: str) -> None:
    """Leaders are cancelled after every number of steps; nobody is forgotten."""
    async with dp.connect(url) as promises:
        for steps in range(25):
            promise = promises.promise(f"s{steps}")
            scope = anyio.CancelScope()
            woken: list[Any] = []

            async def lead(promise: Any = promise, scope: Any = scope) -> None:
                with scope:
                    await promise.get()

            async def follow(promise: Any = promise, woken: Any = woken) -> None:
                woken.append(await promise.get())

            with anyio.fail_after(LIMIT):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(lead)
                    tasks.start_soon(follow)
                    tasks.start_soon(promise.resolve, steps)
                    for _ in range(steps):
                        await anyio.lowlevel.checkpoint()
                    scope.cancel()
            assert [steps] == woken


async def test_a_wait_that_begins_while_the_promise_is_settled_ends(url: str) -> None:
    """Whatever comes first, look or link, hundreds of times."""
    async with dp.connect(url) as promises:
        with anyio.fail_after(LIMIT * 2):
            for number in range(200):
                promise = promises.promise(f"n{number}")
                async with anyio.create_task_group() as tasks:
                    for _ in range(number % 7):
                        await anyio.lowlevel.checkpoint()
                    tasks.start_soon(promise.resolve, number)
                    assert number == await promise.get()


async def test_a_waiter_that_joins_after_a_disposal_is_not_told_of_it(url: str) -> None:
    """A look that began before it cannot speak for its generation."""
    async with dp.connect(url) as promises:
        with anyio.fail_after(LIMIT * 2):
            for number in range(50):
                promise = promises.promise("x")
                async with anyio.create_task_group() as tasks:

                    async def disposed(promise: Any = promise) -> None:
                        with pytest.raises(dp.PromiseDisposedError):
                            await promise.get()

                    tasks.start_soon(disposed)
                    await joined(1)
                    await promise.dispose()
                    tasks.start_soon(promise.resolve, number)
                    assert number == await promise.get()
                await promise.dispose()


async def test_it_works_without_inotify(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If there is none, or no instance left, looking again is enough."""
    monkeypatch.setattr(_watch, "open_inotify", lambda: None)
    async with dp.connect(url) as promises:
        with anyio.fail_after(LIMIT):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(promises.promise("x").get)
                await joined(1)
                assert 0 == WATCHERS.get().stats().watched
                await promises.promise("x").resolve(1)


def test_no_instance_left_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel's limit of instances (inotify(7)) makes waiting slower only."""
    instances = []
    try:
        while (instance := _inotify.open_inotify()) is not None:
            instances.append(instance)
            assert len(instances) < 100_000
    finally:
        limit = int(Path("/proc/sys/fs/inotify/max_user_instances").read_text())
        assert len(instances) <= limit
        instances.clear()


async def test_events_that_the_kernel_dropped_are_made_up_for(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a queue overflow everything that is waited for is looked at."""
    monkeypatch.setattr(_entries, "_NET", (1e9, 1e9))

    def overflow(self: _inotify.Inotify) -> Any:
        with suppress(BlockingIOError):
            os.read(self.fd, 65536)
            yield _inotify.DirectoryEvent(None, None, deleted=False)

    async with dp.connect(url) as promises:
        with anyio.fail_after(LIMIT):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(promises.promise("x").get)
                await joined(1)
                monkeypatch.setattr(_inotify.Inotify, "read", overflow)
                await promises.promise("x").resolve(1)


async def test_the_kernels_reports_alone_wake_a_waiter(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Polling is only the net below: switched off, everyone still wakes."""
    monkeypatch.setattr(_entries, "_NET", (1e9, 1e9))
    async with dp.connect(url) as promises:
        with anyio.fail_after(LIMIT):
            async with anyio.create_task_group() as tasks:
                for number in range(100):
                    tasks.start_soon(promises.promise(f"n{number}").get)
                await joined(100)
                for number in range(100):
                    await promises.promise(f"n{number}").resolve(1)


async def test_polling_alone_wakes_a_waiter(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the kernel reports nothing although it could, the net holds."""
    monkeypatch.setattr(_entries, "_NET", (0.01, 0.02))

    def silence(self: _inotify.Inotify) -> Any:
        with suppress(BlockingIOError):
            os.read(self.fd, 65536)
        return iter(())

    monkeypatch.setattr(_inotify.Inotify, "read", silence)
    async with dp.connect(url) as promises:
        with anyio.fail_after(LIMIT):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(promises.promise("x").get)
                await joined(1)
                await promises.promise("x").resolve(1)


async def test_a_wait_outlives_a_store_that_is_away(
    url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """
    A directory that was moved away is an error for a peek, and ends no wait.

    Who waits hears what is settled once it is back, and it was said once.
    """
    async with dp.connect(url) as promises, dp.connect(url) as others:
        promise = promises.promise("x")
        await promise.resolve(0)
        await promise.dispose()
        with anyio.fail_after(LIMIT):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(promise.get)
                await joined(1)
                (tmp_path / "s").rename(tmp_path / "away")
                with pytest.raises(dp.BackendUnavailableError, match="gone"):
                    await promise.peek()
                while not caplog.records:  # noqa: ASYNC110 - there is no event for that
                    await anyio.sleep(0.01)
                (tmp_path / "away").rename(tmp_path / "s")
                await others.promise("x").resolve(1)
    assert 1 == len(caplog.records)
    assert "goes on waiting" in caplog.text


def damage(path: str) -> None:
    """Overwrite a record with what is not one."""
    Path(path).write_text("damage")


async def test_damage_is_told_to_those_who_wait_for_it_only(url: str) -> None:
    """One broken record neither hangs its waiters nor disturbs the others."""
    store = FileStore(url.removeprefix("file:"))
    store.open()
    async with dp.connect(url) as promises:

        async def wait() -> None:
            with pytest.raises(dp.CorruptPromiseError):
                await promises.promise("broken").get()

        with anyio.fail_after(LIMIT):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait)
                tasks.start_soon(promises.promise("sound").get)
                await joined(2)
                damage(store.place("broken").outcome("first"))
                await promises.promise("sound").resolve(1)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.EIO])
async def test_a_wait_outlives_a_failure_that_passes(
    url: str, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """A look that fails is repeated, for those who came before and meanwhile."""
    store = FileStore(url.removeprefix("file:"))
    store.settle("other", dp.Resolved(b"1"))
    async with dp.connect(url) as promises:
        promise = promises.promise("x")
        failed = []

        def fail(*args: Any) -> None:
            failed.append(args)
            raise OSError(number, "injected")

        with anyio.fail_after(LIMIT):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(promise.get)
                await joined(1)
                with monkeypatch.context() as patched:
                    patched.setattr("dp_backends.file._store.read_file", fail)
                    tasks.start_soon(promise.get)
                    while len(failed) < 3:  # noqa: ASYNC110 - there is no event for that
                        await anyio.sleep(0.01)
                    with pytest.raises(dp.BackendUnavailableError):
                        await promise.peek()
                await promise.resolve(1)


async def test_a_failure_of_one_handle_is_not_told_to_the_waits_of_another(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Two handles on one store wait for one promise; one of them may not go on.

    Its directory is not the one it opened, and it may not trust the path to it.
    """
    async with dp.connect(url) as failed, dp.connect(url) as sound:
        await sound.promise("y").resolve(1)
        ended = []

        async def wait() -> None:
            with pytest.raises(dp.AccessDeniedError):
                await failed.promise("x").get()
            ended.append("failed")

        def look(self: FileStore, place: Place) -> View:
            if self is failed.backend._store:  # type: ignore[attr-defined] # it is ours
                raise dp.AccessDeniedError("not ours")
            return real(self, place)

        real = FileStore.look_at
        monkeypatch.setattr(FileStore, "look_at", look)
        with anyio.fail_after(LIMIT):
            async with anyio.create_task_group() as tasks:
                # The failed one comes first, and the sound one joins it.
                tasks.start_soon(wait)
                await anyio.lowlevel.checkpoint()
                tasks.start_soon(sound.promise("x").get)
                while not ended:  # noqa: ASYNC110 - there is no event for that
                    await anyio.sleep(0.01)
                await joined(1)
                await sound.promise("x").resolve(1)


async def test_a_wait_hears_of_a_store_that_is_made_later(
    url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Waiting makes nothing, says that nothing is there, and hears who makes it."""
    caplog.set_level("INFO", "dp_backends.file")
    async with dp.connect(url) as promises, dp.connect(url) as others:
        with anyio.fail_after(LIMIT):
            async with anyio.create_task_group() as tasks:
                for _ in range(3):
                    tasks.start_soon(promises.promise("x").get)
                await joined(3)
                assert not await anyio.Path(tmp_path / "s").exists()
                await others.promise("x").resolve(1)
    assert 1 == caplog.text.count("there is no store of promises at")


@pytest.mark.parametrize("gone", ["shards", "p", "FORMAT", "everything"])
async def test_a_store_that_is_removed_under_a_wait_stays_removed(
    tmp_path: Path, url: str, gone: str
) -> None:
    """
    No look makes again what somebody is removing, at whatever moment it comes.

    The first settle does, and wakes the waiter; if all is gone, a store is not made
    by who has seen another one there, but by anybody else.
    """
    root = tmp_path / "s"
    async with dp.connect(url) as promises, dp.connect(url) as others:
        await others.promise("other").resolve(1)
        told: list[object] = []

        async def wait() -> None:
            told.append(await promises.promise("x").get())

        with anyio.fail_after(LIMIT):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait)
                await joined(1)
                for path in removed(root, gone):
                    await anyio.to_thread.run_sync(remove, path)
                    if path.name in (shard_of("x"), "p", "FORMAT", "s"):
                        await looked(FileStore(str(root)).place("x"))
                    assert not path.exists()
                if gone == "everything":
                    with pytest.raises(dp.BackendUnavailableError, match="is gone"):
                        await others.promise("x").resolve(2)
                    with pytest.raises(dp.BackendUnavailableError, match="is gone"):
                        await promises.promise("x").peek()
                    assert not root.exists()
                    async with dp.connect(url) as new:
                        await new.promise("x").resolve(2)
                else:
                    await others.promise("x").resolve(2)
    assert [2] == told


def shard_of(id: str) -> str:
    """Return the name of the directory that a promise is in."""
    return Path(Place.of("", id).shard).name


def removed(root: Path, gone: str) -> list[Path]:
    """Return what is removed one after the other, as ``rm -r`` does it."""
    shards = sorted((root / "p").iterdir())
    return {
        "shards": shards,
        "p": [*shards, root / "p"],
        "FORMAT": [*shards, root / "FORMAT"],
        "everything": [root / "FORMAT", *shards, root / "p", root],
    }[gone]


def remove(path: Path) -> None:
    """Remove a file, or a directory with what is in it."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


async def looked(place: Place) -> None:
    """Return when somebody has begun and ended a look at a promise."""
    looks = []
    real = FileStore.look_at

    def look(self: FileStore, at: Place) -> View:
        try:
            return real(self, at)
        finally:
            looks.append(at.name)

    with patch.object(FileStore, "look_at", look):
        while place.name not in looks:  # noqa: ASYNC110 - there is no event for that
            await anyio.sleep(0.001)


async def test_a_wait_in_a_store_that_is_made_later_hears_of_a_disposal(
    url: str,
) -> None:
    """It began with a promise that was pending, as all are in a store that is not."""
    async with dp.connect(url) as promises, dp.connect(url) as others:

        async def wait() -> None:
            with pytest.raises(dp.PromiseDisposedError):
                await promises.promise("x").get()

        with anyio.fail_after(LIMIT):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait)
                await joined(1)
                await others.promise("x").dispose()


async def test_handles_on_one_store_share_the_watch_of_a_directory(url: str) -> None:
    """Each has an entry of its own, and all are woken by one report."""
    handles = [dp.connect(url) for _ in range(3)]
    await handles[0].promise("other").resolve(1)
    with anyio.fail_after(LIMIT):
        async with anyio.create_task_group() as tasks:
            for handle in handles:
                tasks.start_soon(handle.promise("x").get)
            await joined(3)
            assert WatchStats(3, 0, 3, 1, 1) == WATCHERS.get().stats()
            await handles[0].promise("x").resolve(1)


async def test_a_watcher_is_freed_without_the_garbage_collector(tmp_path: Path) -> None:
    """So its inotify instance, of which there are few, goes with its event loop."""
    store = FileStore(str(tmp_path / "s"))
    store.settle("x", dp.Resolved(b"1"))
    watcher = Watcher()
    assert dp.Resolved(b"1") == await watcher.wait(store, store.place("x"))
    freed = weakref.ref(watcher)

    gc.disable()
    try:
        del watcher
        assert freed() is None
    finally:
        gc.enable()
