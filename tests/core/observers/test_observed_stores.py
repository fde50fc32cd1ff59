"""Observers see listings and prunes, which are about no single promise."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from itertools import count
from typing import Any

import anyio
import pytest

import dp_core as dp
from dp_backends.memory import MemoryBackend
from dp_core.backend import Page
from dp_core.instrumentation import Finished, LoggingObserver, Started, observing

STORES = count()
NOW = timedelta()


class Endings:
    """Keeps how operations end."""

    def __init__(self) -> None:
        self.events: list[Finished] = []
        self.begun = 0

    def started(self, event: Started) -> None:
        self.begun += 1

    def finished(self, event: Finished) -> None:
        self.events.append(event)

    def taken(self) -> list[tuple[str, str, str, int | None]]:
        """Return operation, id, result and count of each, and forget them."""
        found = [(e.operation, e.id, e.result, e.count) for e in self.events]
        assert len(found) == self.begun
        self.events, self.begun = [], 0
        return found


class ThreePages(MemoryBackend):
    """A store whose pages are short, and of which the last fails on request."""

    fails = False

    async def list(self, query: dp.Query, after: str | None, limit: int) -> Page:
        if self.fails and after == "2":
            raise dp.BackendUnavailableError("the store is away")
        return await super().list(query, after, 1)


@pytest.fixture
async def promises() -> AsyncIterator[dp.Promises]:
    """Return a handle on a store of three promises, one of them pending."""
    url = f"memory:observed-{next(STORES)}"
    promises = dp.Promises(ThreePages(url), url)
    for id in "ab":
        await promises.promise(id).resolve(1)
    await promises.create("c")
    return promises


@pytest.fixture
def seen() -> Iterator[Endings]:
    """Observe this process."""
    endings = Endings()
    with observing(endings):
        yield endings


async def test_each_page_of_a_listing_is_an_operation(
    promises: dp.Promises, seen: Endings
) -> None:
    """The time between two pages is the caller's, who may also go away."""
    listing = promises.list()
    assert [] == seen.taken()
    await anext(listing)
    assert [("list", "", "listed", 1)] == seen.taken()
    await anext(listing)
    assert [("list", "", "listed", 1)] == seen.taken()
    del listing
    assert [] == seen.taken()

    assert 3 == len([info async for info in promises.list()])
    assert [("list", "", "listed", 1)] * 3 == seen.taken()


async def test_a_prune_is_an_operation_and_so_is_each_disposal(
    promises: dp.Promises, seen: Endings
) -> None:
    """What happens to a promise is told of it, by whichever way it came."""
    assert 2 == await promises.prune(settled_before=NOW)

    assert [
        ("dispose", "a", "disposed", None),
        ("dispose", "b", "disposed", None),
        ("prune", "", "pruned", 2),
    ] == seen.taken()


async def test_what_fails_is_told_with_what_was_done(
    promises: dp.Promises, seen: Endings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error is the caller's, and the count that of the disposals before it."""
    monkeypatch.setattr(ThreePages, "fails", True)
    with pytest.raises(dp.BackendUnavailableError) as caught:
        assert [] == [info async for info in promises.list()]
    assert caught.value is seen.events[-1].error
    assert (None, "BackendUnavailableError") == seen.taken()[-1][:1:-1]

    with pytest.raises(dp.BackendUnavailableError) as caught:
        await promises.prune(settled_before=NOW)
    assert caught.value is seen.events[-1].error
    assert ("prune", "", "BackendUnavailableError", 2) == seen.taken()[-1]


async def test_a_cancelled_listing_is_told(
    promises: dp.Promises, seen: Endings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for every operation."""
    scopes: list[anyio.CancelScope] = []

    async def stuck(*arguments: Any) -> Page:
        scopes[-1].cancel()
        await anyio.sleep_forever()
        raise AssertionError

    monkeypatch.setattr(ThreePages, "list", stuck)
    for ask in (anext(promises.list()), promises.prune(settled_before=NOW)):
        with anyio.CancelScope() as scope:
            scopes.append(scope)
            await ask
    assert [
        ("list", "", "cancelled", None),
        ("prune", "", "cancelled", 0),
    ] == seen.taken()


async def test_a_line_for_the_log_says_how_many(
    promises: dp.Promises, caplog: pytest.LogCaptureFixture
) -> None:
    """No promise is named where none is meant."""
    caplog.set_level(logging.INFO)
    with observing(LoggingObserver()):
        await anext(promises.list())
        await promises.prune(settled_before=NOW, prefix="a")

    lines = [record.getMessage().rpartition(" in ")[0] for record in caplog.records]
    assert [
        f"list at '{promises.url}': listed 1",
        f"dispose 'a' at '{promises.url}': disposed",
        f"prune at '{promises.url}': pruned 1",
    ] == lines
