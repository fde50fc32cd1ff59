"""Waits for promises in directories: who wakes whom, and at what cost."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import pytest

import dp_core as dp
from dp_backends._system import _inotify
from dp_backends.file._store import FileStore
from dp_backends.file._watching import (
    WATCHERS,
    Watcher,
    WatchStats,
    _net,
    _reports,
)
from support.file.waits import LIMIT, joined

RESOLVER = """
import sys, anyio, dp_core as dp
_, url, id, value = sys.argv
anyio.run(lambda: dp.connect(url).promise(id).resolve(value))
"""


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
    monkeypatch.setattr(_reports, "open_inotify", lambda: None)
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
    monkeypatch.setattr(_net, "_NET", (1e9, 1e9))

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
    monkeypatch.setattr(_net, "_NET", (1e9, 1e9))
    async with dp.connect(url) as promises:
        with anyio.fail_after(LIMIT):
            async with anyio.create_task_group() as tasks:
                for number in range(100):
                    tasks.start_soon(promises.promise(f"n{number}").get)
                await joined(100)
                for number in range(100):
                    await promises.promise(f"n{number}").resolve(1)


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
