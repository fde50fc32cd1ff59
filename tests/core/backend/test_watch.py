"""`watch_all`: many promises as one, by backends that can, and by those that cannot."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

import anyio
import pytest

from dp_core import (
    BackendClosedError,
    CorruptPromiseError,
    NotSupportedError,
    PromiseDisposedError,
    Rejected,
    Resolved,
)
from dp_core.backend import Told, Watchable, watch_all
from support.core.five_methods import FiveMethods

ONE, NO = Resolved(b"1"), Rejected("no")
LIMIT = 20.0


async def told_by(watch: AsyncIterator[Told]) -> Told:
    """Return what is told next."""
    with anyio.fail_after(LIMIT):
        return await anext(watch)


async def test_what_is_settled_comes_first_and_in_order() -> None:
    """Outcomes from before come as the ids do, others as they come, an id once."""
    backend = FiveMethods()
    for id in ("ccc", "a"):
        await backend.settle(id, ONE)
    ids = ("a", "bb", "ccc", "bb", "dddd", "a")
    async with watch_all(backend, ids) as watch:
        assert ("a", ONE) == await told_by(watch)
        await backend.settle("dddd", NO)
        assert ("ccc", ONE) == await told_by(watch)
        assert ("dddd", NO) == await told_by(watch)
        await backend.dispose("bb")
        id, told = await told_by(watch)
        assert ("bb", PromiseDisposedError) == (id, type(told))
        assert [] == [told async for told in watch]


async def test_nothing_is_told_of_no_ids() -> None:
    """A watch without ids ends at once."""
    async with watch_all(FiveMethods(), ()) as watch:
        assert [] == [told async for told in watch]


async def test_a_disposal_after_entering_is_heard() -> None:
    """Each promise is waited for when the block begins, and is told its own end."""
    backend = FiveMethods()
    async with watch_all(backend, ("a", "bb")) as watch:
        assert {"a": 1, "bb": 1} == +backend.waits
        await backend.dispose("a")
        await backend.settle("a", ONE)
        await backend.settle("bb", ONE)
        told = [(id, type(told)) async for id, told in watch]
    assert [("a", PromiseDisposedError), ("bb", Resolved)] == sorted(told)


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt("x")])
async def test_an_error_of_the_block_is_passed_on_as_it_is(
    error: BaseException,
) -> None:
    """It is in no group of errors, and no wait is left; the iterator has ended."""
    backend = FiveMethods()
    with pytest.raises(type(error), match="x"):
        async with watch_all(backend, ("a", "bb")) as watch:
            raise error
    assert Counter() == +backend.waits
    assert [] == [told async for told in watch]


async def test_a_block_that_is_left_leaves_no_wait() -> None:
    """Neither one that ends early, nor one that is cancelled."""
    backend = FiveMethods()
    async with watch_all(backend, ("a", "bb")):
        assert {"a": 1, "bb": 1} == +backend.waits
    assert Counter() == +backend.waits
    with anyio.CancelScope() as scope:
        async with watch_all(backend, ("a", "bb")) as watch:
            scope.cancel()
            await anext(watch)
    assert scope.cancelled_caught
    assert Counter() == +backend.waits


async def test_other_errors_are_raised_by_the_iterator() -> None:
    """A closed handle and a damaged promise end it, after what was told before."""
    backend = FiveMethods()
    await backend.settle("a", ONE)
    async with watch_all(backend, ("a", "bb", "ccc")) as watch:
        await backend.aclose()
        assert ("a", ONE) == await told_by(watch)
        with pytest.raises(BackendClosedError):
            await told_by(watch)
        assert [] == [told async for told in watch]
    backend = FiveMethods()
    backend.damaged = "bb"
    async with watch_all(backend, ("a", "bb")) as watch:
        with pytest.raises(CorruptPromiseError):
            await told_by(watch)
    assert Counter() == +backend.waits


async def test_what_may_pass_is_for_the_wait_to_say() -> None:
    """A look that fails ends nothing: the wait that follows is told."""
    backend = FiveMethods()
    backend.is_away = True
    async with watch_all(backend, ("a",)) as watch:
        await backend.settle("a", ONE)
        assert ("a", ONE) == await told_by(watch)


async def test_a_backend_that_can_watch_is_asked() -> None:
    """Its own `watch` is used, with the ids as given."""

    class Watching(FiveMethods):
        @asynccontextmanager
        async def watch(
            self, ids: Collection[str]
        ) -> AsyncIterator[AsyncIterator[Told]]:
            async def tell() -> AsyncIterator[Told]:
                for id in ids:
                    yield id, NO

            yield tell()

    backend = Watching()
    assert isinstance(backend, Watchable)
    assert not isinstance(FiveMethods(), Watchable)
    async with watch_all(backend, ["b", "a"]) as watch:
        assert [("b", NO), ("a", NO)] == [told async for told in watch]


async def test_a_store_that_does_not_support_it_gets_waits() -> None:
    """It says so on entering; the same error of the block is passed on."""

    class Unsupported(FiveMethods):
        @asynccontextmanager
        async def watch(
            self, ids: Collection[str]
        ) -> AsyncIterator[AsyncIterator[Told]]:
            raise NotSupportedError("no streams")
            yield

    backend = Unsupported()
    assert isinstance(backend, Watchable)
    await backend.settle("a", ONE)
    async with watch_all(backend, ("bb", "a")) as watch:
        assert {"bb": 1} == +backend.waits
        assert ("a", ONE) == await told_by(watch)
        await backend.settle("bb", NO)
        assert [("bb", NO)] == [told async for told in watch]
    with pytest.raises(NotSupportedError, match="of the block"):
        async with watch_all(backend, ("x",)):
            raise NotSupportedError("of the block")
    assert Counter() == +backend.waits
