"""A store whose disk is full in the middle of a batch."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path

import anyio
import pytest

import dp_core as dp

__all__ = ["nothing_is_lost_in_a_full_disk"]

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
