"""A store whose disk is full in the middle of a batch."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path

import anyio
import pytest

import dp_core as dp

__all__ = ["a_little_room_is_the_way_out", "nothing_is_lost_in_a_full_disk"]

MANY = 64


def nothing_is_lost_in_a_full_disk(
    url: str,
    fill: Callable[[], Path],
    value: Callable[[], str],
    together: Callable[
        [dp.Promises, int], AbstractAsyncContextManager[None]
    ] = lambda *_: nullcontext(),
) -> None:
    """
    Fill the disk of a store, settle many promises, and make room again.

    Nothing of it is acknowledged, everybody is told, and all works when there is room.
    What was acknowledged before stays, and a wait goes on.

    Args:
        url: The store.
        fill: Fills its disk up; returns the file that does.
        value: Returns a value for which there is no room.
        together: Returns a context in which so many calls are one batch.
    """
    ids = [f"x{number}" for number in range(MANY)]
    told: list[str] = []

    async def settle(promises: dp.Promises, id: str) -> None:
        with pytest.raises(dp.BackendUnavailableError, match="disk is full"):
            await promises.promise(id).resolve(value())
        told.append(id)

    async def main() -> None:
        async with dp.connect(url) as promises:
            await promises.promise("kept").resolve("kept")
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait, promises)
                await anyio.wait_all_tasks_blocked()
                filler = fill()
                async with (
                    anyio.create_task_group() as settlers,
                    together(promises, len(ids)),
                ):
                    for id in ids:
                        settlers.start_soon(settle, promises, id)
                assert sorted(ids) == sorted(told)
                assert dp.Resolved("kept") == await promises.promise("kept").peek()
                filler.unlink()
                for id in ids:
                    assert dp.Pending() == await promises.promise(id).peek()
                await promises.promise("waited for").resolve("told")

    async def wait(promises: dp.Promises) -> None:
        with anyio.fail_after(60):
            assert "told" == await promises.promise("waited for").get()

    anyio.run(main)


def a_little_room_is_the_way_out(
    url: str,
    fill: Callable[[], Path],
    room: int,
    large: str,
    vacuum: Callable[[], object] = lambda: None,
) -> None:
    """
    Fill the disk of a store until it takes no settle; give back some bytes.

    Then all large values can be disposed of, and new promises settled in their place.

    Args:
        url: The store.
        fill: Fills its disk up; returns the file that does.
        room: So many bytes are given back.
        large: A value. Twenty are settled before, and ten afterwards.
        vacuum: Gives the room of what was disposed of to others.
    """

    async def main() -> None:
        async with dp.connect(url) as promises:
            old = [promises.promise(f"old{number}") for number in range(20)]
            for promise in old:
                await promise.resolve(large)
            filler = fill()
            with pytest.raises(dp.BackendUnavailableError, match="disk is full"):
                await promises.promise("new0").resolve(large)
            assert dp.Resolved(large) == await old[0].peek()

            with filler.open("r+b") as file:
                file.truncate(filler.stat().st_size - room)
            for promise in old:
                await promise.dispose()
        vacuum()
        # A database takes over its log when the last handle is closed.
        async with dp.connect(url) as promises:
            old = [promises.promise(promise.id) for promise in old]
            new = [promises.promise(f"new{number}") for number in range(10)]
            for promise in new:
                await promise.resolve(large)
            assert [dp.Pending()] * 20 == [await promise.peek() for promise in old]
            assert {large} == {await promise.get() for promise in new}

    anyio.run(main)
