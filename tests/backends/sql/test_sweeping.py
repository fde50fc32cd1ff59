"""Sweeps and listings of a database, where deadlines end and others write."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest

import dp_core as dp
from dp_backends.sql._backend import SqlBackend
from dp_backends.sql._working import LookCall
from dp_core.testing import DeadlineClock

HOUR = timedelta(hours=1)


@pytest.fixture
def anyio_backend() -> str:
    """Run once: the database is the same."""
    return "asyncio"


async def test_a_sweep_settles_what_is_over_and_says_when_to_come_again(
    tmp_path: Path,
) -> None:
    """At once where its limit was reached; never, where no deadline is left."""
    async with dp.connect(f"sqlite:{tmp_path}/p.db") as promises:
        backend = cast("SqlBackend", promises.backend)
        assert await backend.sweep(10) is None
        with DeadlineClock() as clock:
            for id in "abc":
                await promises.create(id, deadline=HOUR)
            assert 1.0 == await backend.sweep(10)
            clock.advance(HOUR)
            assert 0.0 == await backend.sweep(2)
            assert await backend.sweep(2) is None
            clock.advance(-2 * HOUR)
            for id in "abc":
                assert (await promises.promise(id).info()).expired


async def test_what_is_disposed_of_while_a_page_is_made_is_not_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was over, and was to be settled before it is shown: its next generation."""
    async with dp.connect(f"sqlite:{tmp_path}/p.db") as promises:
        store = cast("SqlBackend", promises.backend)._store
        do = store.do

        async def meanwhile(call: Any) -> Any:
            if isinstance(call, LookCall):
                monkeypatch.undo()
                await promises.promise("gone").dispose()
                await promises.promise("gone").resolve("anew")
            return await do(call)

        with DeadlineClock() as clock:
            for id in ("gone", "over"):
                await promises.create(id, deadline=HOUR)
            clock.advance(HOUR)
            monkeypatch.setattr(store, "do", meanwhile)
            page = await cast("SqlBackend", promises.backend).list(dp.Query(), None, 10)

    assert ["over"] == [info.id for info in page.infos]


async def test_what_no_store_has_made_is_no_cursor(tmp_path: Path) -> None:
    """It is refused, and not taken for the beginning or the end."""
    async with dp.connect(f"sqlite:{tmp_path}/p.db") as promises:
        await promises.promise("a").resolve(1)
        for after in ("x", "-1", "1" * 30, "²"):
            with pytest.raises(dp.InvalidQueryError, match="not a cursor of this"):
                await anext(promises.list(after=after))
