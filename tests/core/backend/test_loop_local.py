"""A value for each event loop."""

from __future__ import annotations

import gc
import time
import weakref
from datetime import timedelta
from itertools import count
from pathlib import Path

import anyio
import pytest
from anyio.lowlevel import current_token

import dp_core as dp
from dp_core.backend import LoopLocal


def test_each_event_loop_has_a_value_of_its_own(anyio_backend: str) -> None:
    """It is made once for each, and goes away with the loop."""
    made = count()
    local = LoopLocal(lambda: next(made))

    async def values() -> list[int]:
        return [local.get(), local.get()]

    found = [anyio.run(values, backend=anyio_backend) for _ in range(2)]

    assert [[0, 0], [1, 1]] == found


async def test_two_of_them_do_not_share() -> None:
    """Each `LoopLocal` has its own values."""
    assert (1, 2) == (LoopLocal(lambda: 1).get(), LoopLocal(lambda: 2).get())


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["memory", "file", "sqlite"])
def test_waiting_does_not_keep_an_event_loop(
    kind: str, anyio_backend: str, tmp_path: Path
) -> None:
    """What the backends keep for an event loop goes with it, waiters or not."""
    promises = dp.connect(f"{kind}:{tmp_path}/s")
    loops: list[weakref.ref[object]] = []

    async def use() -> None:
        loops.append(weakref.ref(current_token().native_token))
        promise = await promises.create("a", deadline=timedelta(days=1))
        with anyio.move_on_after(0.05):
            await promise.get()

    anyio.run(use, backend=anyio_backend)
    patience = time.monotonic() + 60
    # A thread that has told its last caller may not have come to forget it.
    while any(loop() for loop in loops) and time.monotonic() < patience:
        gc.collect()
    assert [None] == [loop() for loop in loops]
