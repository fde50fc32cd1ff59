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
from dp_backends.file._read_batcher import Finding
from dp_backends.file._reading import View
from dp_backends.file._record import FIRST, Record
from dp_backends.file._store import FileStore
from dp_backends.file._watching import WATCHERS, _looking, _net, _reports
from dp_backends.file._watching._looking import see_and_look
from dp_backends.file._watching._net import Net, Seen, see
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


class Rounds:
    """Rounds of a net at some directories, as time goes by."""

    def __init__(self, *paths: Path, age: float, is_local: bool = True) -> None:
        self._paths = paths
        self._age = age
        self._is_local = is_local
        self._time = 1000.0
        self._net = Net()
        self._net.note(self._see())

    def _see(self) -> dict[str, Seen]:
        seen = see(map(str, self._paths))
        return {
            path: now._replace(since=self._time, age=self._age)
            for path, now in seen.items()
        }

    def changed(self, later: float) -> list[Path]:
        """Make a round *later* seconds after the last one."""
        self._time += later
        changed = self._net.changed(self._see(), is_local=self._is_local)
        return [path for path in self._paths if str(path) in changed]


@pytest.mark.parametrize(("age", "is_local"), [(2.0, True), (4.0, False)])
def test_a_young_directory_is_looked_into_until_it_is_old(
    tmp_path: Path, age: float, is_local: bool
) -> None:
    """So is one whose times another clock gives: whether they are old is not known."""
    rounds = Rounds(tmp_path, age=age, is_local=is_local)

    looked_into = [bool(rounds.changed(pause)) for pause in (1, 1, 1, 5)]
    assert [True, True, True, False] == looked_into


def test_an_old_directory_is_looked_into_only_where_it_has_changed(
    tmp_path: Path,
) -> None:
    """Whatever has happened since it was noted has given it other times."""
    a, b = tmp_path / "a", tmp_path / "b"
    a.mkdir()
    rounds = Rounds(a, b, age=4)

    assert [] == rounds.changed(1)
    b.mkdir()
    os.utime(a, (1, 1))
    assert [[a, b], []] == [rounds.changed(1), rounds.changed(1)]
    b.rmdir()
    os.utime(a, (2, 2))
    assert [[a, b], []] == [rounds.changed(1), rounds.changed(1)]


def test_a_directory_is_noted_before_the_first_look_in_it(tmp_path: Path) -> None:
    """A later look there notes nothing, as it does not count for those before it."""
    net, path = Net(), str(tmp_path)
    os.utime(path, (1, 1))
    assert {path} == net.new([path])
    net.note(see([path]))
    assert not net.new([path])
    (tmp_path / "x").touch()
    net.note(see([path]))
    assert {path} == net.changed(see([path]), is_local=True)


def test_a_change_during_the_first_look_shows(tmp_path: Path) -> None:
    """The look may have missed it, and the kernel may not report it."""
    store = FileStore(str(tmp_path / "s"))
    store.open()
    place = store.place("x")
    os.utime(place.shard, (1, 1))

    def settled_meanwhile(places: object) -> list[Finding]:
        store.settle("x", dp.Resolved(b"1"))
        return [View(FIRST, dp.Pending())]

    with patch.object(_looking, "look_at_all", settled_meanwhile):
        seen, _ = see_and_look([place.shard], [(store, place, None)])
    net = Net()
    net.note({path: now._replace(age=4.0) for path, now in seen.items()})
    assert {place.shard} == net.changed(see([place.shard]), is_local=True)


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
        monkeypatch.setattr(_reports, "open_inotify", lambda: None)
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

                def noted(net: Net, seen: Any, *, is_local: bool) -> set[str]:
                    rounds.append(watcher._look)
                    return changed(net, seen, is_local=is_local)

                monkeypatch.setattr(Net, "changed", noted)
                while len(rounds) < 8:  # noqa: ASYNC110 - there is no event for it
                    await anyio.sleep(0.001)
                assert [rounds[-1]] * 3 == rounds[-3:]
                await promises.promise("n7").resolve(1)
                await joined(299)
                tasks.cancel_scope.cancel()


async def test_looks_of_the_same_second_share_a_hop(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hop to a thread costs more than the looks: fifty a second are one."""
    monkeypatch.setattr(_net, "_TICK", 1e9)
    monkeypatch.setattr(_net, "_NET", (0.01, 0.01))
    async with dp.connect(url) as promises:
        await promises.promise("other").resolve("so that there is a store")
        with anyio.fail_after(LIMIT):
            async with anyio.create_task_group() as tasks:
                for number in range(300):
                    tasks.start_soon(promises.promise(f"n{number}").get)
                await joined(300)
                due = WATCHERS.get()._schedule._due
                while len(due) < 200:  # noqa: ASYNC110 - there is no event for it
                    await anyio.sleep(0.001)
                assert len({time for time, _, _ in due}) < 12
                tasks.cancel_scope.cancel()
