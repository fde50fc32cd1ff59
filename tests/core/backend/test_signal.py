"""`signal`: one sleeps until it is woken, on both event loops."""

from __future__ import annotations

import anyio

from dp_core.backend import signal, wake

LIMIT = 20.0


async def test_a_signal_wakes_its_sleeper_once() -> None:
    """Before, during and after the sleep, and as often as anybody likes."""
    early, late = signal(), signal()
    woken = []

    async def sleep() -> None:
        await late
        woken.append("late")

    with anyio.fail_after(LIMIT):
        wake(early)
        wake(early)
        await early
        async with anyio.create_task_group() as group:
            group.start_soon(sleep)
            await anyio.wait_all_tasks_blocked()
            assert [] == woken
            wake(late)
            wake(late)
    assert ["late"] == woken
    wake(late)


async def test_a_sleeper_may_be_cancelled() -> None:
    """It ends at once, and a wake-up that comes later concerns nobody."""
    sleeping = signal()
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep, 0)
            scope.cancel()
            await sleeping
    assert scope.cancelled_caught
    wake(sleeping)
    await anyio.lowlevel.checkpoint()
