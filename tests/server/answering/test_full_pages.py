"""`full_page`: the pages of a board, from stores whose own pages may be short."""

from __future__ import annotations

from itertools import count

import dp_core as dp
from dp_backends.memory import MemoryBackend
from dp_core.backend import Page
from dp_core.server._answering._registry import full_page
from dp_core.wire import List

STORES = count()


class Short(MemoryBackend):
    """A store that tells two promises at once, whatever it is asked."""

    async def list(self, query: dp.Query, after: str | None, limit: int) -> Page:
        return await super().list(query, after, min(limit, 2))


async def test_a_page_is_filled(anyio_backend: str) -> None:
    """It is as long as was asked for, and the next one goes on behind it."""
    backend = Short(f"memory:full-pages-{next(STORES)}")
    for number in range(9):
        await backend.settle(f"p{number}", dp.Resolved(b"1"))

    first = await full_page(backend, List(dp.Query(), None, 5))
    rest = await full_page(backend, List(dp.Query(), first.after, 5))

    assert [f"p{n}" for n in range(5)] == [info.id for info in first.infos]
    assert [f"p{n}" for n in range(5, 9)] == [info.id for info in rest.infos]
    assert rest.after is None


async def test_a_store_is_not_asked_for_ever(anyio_backend: str) -> None:
    """After a few questions the page is as long as it is, and says where to go on."""
    backend = Short(f"memory:full-pages-{next(STORES)}")
    for number in range(30):
        await backend.settle(f"p{number}", dp.Resolved(b"1"))

    page = await full_page(backend, List(dp.Query(), None, 100))

    assert 2 < len(page.infos) < 30
    assert page.after is not None
