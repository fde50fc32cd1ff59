"""The net of polling below the kernel's reports: what it finds, and what it costs."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import timedelta
from typing import Any

import anyio
import pytest

import dp_core as dp
from dp_backends._system import _inotify
from dp_backends.file._record import Record
from dp_backends.file._store import FileStore
from dp_backends.file._watching import WATCHERS, _entries
from support.file.waits import LIMIT, joined

FAR = timedelta(days=1)
SOON = timedelta(milliseconds=50)


@pytest.fixture
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the net be dense."""
    monkeypatch.setattr(_entries, "_NET", (0.01, 0.02))


@pytest.fixture
def _silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the kernel report nothing although it could."""

    def read(self: _inotify.Inotify) -> Any:
        with suppress(BlockingIOError):
            os.read(self.fd, 65536)
        return iter(())

    monkeypatch.setattr(_inotify.Inotify, "read", read)


@pytest.mark.usefixtures("_often", "_silence")
@pytest.mark.parametrize("created", [False, True])
async def test_an_outcome_is_found(url: str, created: bool) -> None:
    """If the kernel reports nothing although it could, the net holds."""
    async with dp.connect(url) as promises:
        promise = promises.promise("x")
        if created:
            await promises.create("x", deadline=FAR)
        with anyio.fail_after(LIMIT):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(promise.get)
                await joined(1)
                await promise.resolve(1)


@pytest.mark.usefixtures("_often", "_silence")
async def test_a_deadline_that_was_set_since_is_found(url: str) -> None:
    """Who waits learns of terms of which there was no report."""
    async with dp.connect(url) as promises:
        await promises.promise("other").resolve("so that there is a store")
        with anyio.fail_after(LIMIT):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(expect_rejection, promises.promise("x"))
                await joined(1)
                await promises.create("x", deadline=SOON)


async def expect_rejection(promise: dp.DurablePromise[Any]) -> None:
    """Wait until the deadline settles the promise."""
    with pytest.raises(dp.PromiseRejectedError):
        await promise.get()


@pytest.mark.usefixtures("_often", "_silence")
async def test_a_disposal_is_found(url: str) -> None:
    """Also where the next generation is pending, too, and has terms."""
    async with dp.connect(url) as promises:
        promise = await promises.create("x", deadline=FAR)

        async def wait() -> None:
            with pytest.raises(dp.PromiseDisposedError):
                await promise.get()

        with anyio.fail_after(LIMIT):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait)
                await joined(1)
                await promise.dispose()
                await promises.create("x", deadline=FAR)


@pytest.mark.usefixtures("_often")
async def test_what_is_as_it_was_is_not_read_again(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look that finds nothing new parses no record: of ten thousand, that counts."""
    parsed: list[str] = []
    parse = Record.from_bytes

    def noted(data: bytes, path: str) -> Record:
        parsed.append(path)
        return parse(data, path)

    async with dp.connect(url) as promises:
        promise = await promises.create("x", deadline=FAR)
        with anyio.fail_after(LIMIT):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(promise.get)
                await joined(1)
                monkeypatch.setattr(Record, "from_bytes", noted)
                watcher = WATCHERS.get()
                first = watcher._look
                while watcher._look < first + 3:  # noqa: ASYNC110 - no event for that
                    await anyio.sleep(0.001)
                assert [] == parsed
                await promise.resolve(1)
    assert parsed


def test_many_waits_have_a_net_that_is_no_denser() -> None:
    """However many promises are waited for, it has two hundred looks a second."""
    store = FileStore("/nowhere")
    for crowd in (1, 100, 500, 10_000, 1_000_000):
        entry = _entries.Entry(store, store.place("x"), is_watched=True)
        pauses = [entry.next_pause(crowd) for _ in range(20)]
        assert crowd / min(pauses) <= 200
        assert crowd > 500 or max(pauses) <= 5


def test_unwatched_waits_are_looked_at_as_often_as_before() -> None:
    """Where the kernel reports nothing, looking is all there is."""
    store = FileStore("/nowhere")
    entry = _entries.Entry(store, store.place("x"), is_watched=False)

    assert max(entry.next_pause(10_000) for _ in range(10)) <= 0.25
