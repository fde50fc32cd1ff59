"""The net of polling below the kernel's reports: what it finds, and what it costs."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import anyio
import pytest

import dp_core as dp
from dp_backends._system import _inotify
from dp_backends.file._record import Record
from dp_backends.file._watching import WATCHERS, _net, _watch
from dp_backends.file._watching._net import Net
from support.file.waits import LIMIT, joined

FAR = timedelta(days=1)
SOON = timedelta(milliseconds=50)


@pytest.fixture
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the net be dense."""
    monkeypatch.setattr(_net, "_NET", (0.01, 0.02))


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


def test_a_directory_stands_for_all_that_is_in_it(tmp_path: Path) -> None:
    """It is looked into when it is new or has changed, and again a while later."""
    net, time = Net(), 1000.0
    paths = [str(tmp_path / name) for name in "ab"]
    (tmp_path / "a").mkdir()

    def changed(later: float) -> list[str]:
        nonlocal time
        time += later
        with patch.object(_net, "monotonic", lambda: time):
            return net.changed(paths)

    assert [paths, paths] == [changed(0), changed(1)]
    assert [paths, []] == [changed(5), changed(5)]
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "x").touch()
    assert [paths, paths, []] == [changed(5), changed(5), changed(5)]
    (tmp_path / "a" / "x").unlink()
    assert [paths[:1], paths[:1], []] == [changed(5), changed(5), changed(5)]


def test_pauses_between_rounds_are_those_of_one_promise() -> None:
    """They grow to five seconds, or a quarter of one where nothing is reported."""
    net = Net()
    assert [1, 2, 4, 5, 5] == [net.next_pause(reported=True) for _ in range(5)]
    assert net.next_pause(reported=False) <= 0.25
    net.begin()
    assert 1 == net.next_pause(reported=True)


@pytest.mark.parametrize("reported", [True, False])
async def test_many_that_are_at_rest_are_not_looked_at(
    url: str, reported: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once a look was late enough, rounds look at directories alone."""
    monkeypatch.setattr(_net, "_TICK", 0.0)
    monkeypatch.setattr(_net, "_NET", (0.01, 0.01))
    monkeypatch.setattr(_net, "_ALONE", (0.01, 0.01))
    if not reported:
        monkeypatch.setattr(_watch, "open_inotify", lambda: None)
    async with dp.connect(url) as promises:
        await promises.promise("other").resolve("so that there is a store")
        with anyio.fail_after(LIMIT):
            async with anyio.create_task_group() as tasks:
                for number in range(300):
                    tasks.start_soon(promises.promise(f"n{number}").get)
                await joined(300)
                watcher = WATCHERS.get()
                rounds: list[int] = []
                changed = Net.changed

                def noted(net: Net, directories: Any) -> list[str]:
                    rounds.append(watcher._look)
                    return changed(net, directories)

                monkeypatch.setattr(Net, "changed", noted)
                while len(rounds) < 8:  # noqa: ASYNC110 - there is no event for it
                    await anyio.sleep(0.001)
                assert [rounds[-1]] * 3 == rounds[-3:]
                await promises.promise("n7").resolve(1)
                await joined(299)
                tasks.cancel_scope.cancel()
