"""Laws on a store that is away: for a while, for good, or by its words alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dp_core import Backend, BackendUnavailableError, Outcome
from dp_core.testing import LAWS, ConformanceError, check_backend
from dp_core.testing.kit import Progress, StoreGoneError
from support.core.kit import QUICK, Store

CHOSEN = ("first-completion-wins", "peek-never-blocks", "settle-is-atomic")
FEW = [law for law in LAWS.values() if law.name in CHOSEN]


class Away(Store):
    """A right store that is away while its numbered settles are among some."""

    settles = 0

    def __init__(self, is_away: Callable[[int], bool]) -> None:
        super().__init__()
        self._is_away = is_away

    async def settle(self, id: str, outcome: Outcome) -> Outcome:
        self.settles += 1
        if self._is_away(self.settles):
            raise BackendUnavailableError("the disk is full")
        return await super().settle(id, outcome)


async def judge(
    store: Away, *, is_there: bool, progress: Progress | None = None
) -> list[str]:
    """Return the laws that hold."""

    async def asked() -> bool:
        return is_there

    def itself() -> Backend:
        return store

    report = await check_backend(
        itself,
        durable=False,
        shared=True,
        laws=FEW,
        effort=QUICK,
        is_there=asked,
        progress=progress,
    )
    return [*report.passed]


async def test_a_law_is_tried_again_once_the_store_is_back() -> None:
    """No law is broken because the store was away; the second trial is told, too."""
    names = sorted(law.name for law in FEW)
    for number in range(1, 6):
        told: list[tuple[int, int, str]] = []
        assert names == await judge(
            Away(number.__eq__),
            is_there=True,
            progress=lambda *now, told=told: told.append(now),
        )
        assert [(1, 3), (2, 3), (3, 3), (4, 4)] == [now[:2] for now in told]
        assert sorted([*names, told[-1][2]]) == sorted(now[2] for now in told)


async def test_a_store_that_always_says_so_breaks_laws() -> None:
    """Who is there and says at each call that it is not, is judged."""
    with pytest.raises(ConformanceError, match="first-completion-wins: "):
        await judge(Away(lambda number: True), is_there=True)


async def test_a_store_that_is_gone_is_not_judged() -> None:
    """What held before is in the report, and no violation."""
    with pytest.raises(StoreGoneError, match="cannot be used any more") as error:
        await judge(Away(lambda number: number > 3), is_there=False)
    assert () == error.value.report.violations
