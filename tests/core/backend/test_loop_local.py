"""A value for each event loop."""

from __future__ import annotations

from itertools import count

import anyio

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
