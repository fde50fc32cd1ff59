"""Waits outlive what fails, is away, damaged, not made yet, or removed."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import anyio
import pytest

import dp_core as dp
from dp_backends.file._layout import Place
from dp_backends.file._reading import View
from dp_backends.file._store import FileStore
from support.file.waits import LIMIT, joined


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
                    patched.setattr("dp_backends.file._reading.read_file", fail)
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

        def look(self: FileStore, place: Place, **named: Any) -> View:
            if self is failed.backend._store:  # type: ignore[attr-defined] # it is ours
                raise dp.AccessDeniedError("not ours")
            return real(self, place, **named)

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
        told: set[object] = set()

        async def wait() -> None:
            told.add(await promises.promise("x").get())

        with anyio.fail_after(LIMIT):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait)
                await joined(1)
                for path in removed(root, gone):
                    await anyio.to_thread.run_sync(remove, path)
                    if path.name in (shard_of("x"), "p", "FORMAT", "s"):
                        # Whoever comes looks.
                        tasks.start_soon(wait)
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
    assert {2} == told


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

    def noting(real: Callable[..., Any]) -> Callable[..., Any]:
        def look(self: FileStore, at: Place, *known: Any, **named: Any) -> Any:
            try:
                return real(self, at, *known, **named)
            finally:
                looks.append(at.name)

        return look

    with (
        patch.object(FileStore, "look_at", noting(FileStore.look_at)),
        patch.object(FileStore, "is_as_known", noting(FileStore.is_as_known)),
    ):
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
