"""Laws about listing: all that is there, once, in an order that stays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from dp_core._states import SETTLED, Rejected, Resolved
from dp_core._terms import PromiseInfo, Query, Terms
from dp_core.testing.kit import (
    LISTED,
    LISTING,
    ORDER,
    PENDING,
    LawContext,
    StoreHandle,
    law,
)

__all__ = [
    "cursors_go_on",
    "listings_are_stable",
    "queries_find_what_they_say",
    "what_is_there_is_listed",
]

ONE: Final = Resolved(b"1")
NO: Final = Rejected("no")

_MAX_PAGES: Final = 1000
_MANY: Final = 9
_STEPS: Final = 5
_GONE: Final = {1: 4, 3: 7}
"""``{page: promise that is disposed of after it}``; most are still to come then."""


async def _all_pages(
    context: LawContext,
    handle: StoreHandle,
    query: Query,
    limit: int = 100,
    after: str | None = None,
) -> list[PromiseInfo[bytes]]:
    """
    Return what a listing has, page by page.

    Raises:
        LawBrokenError: A page has too many promises, or there is no end.
    """
    found: list[PromiseInfo[bytes]] = []
    pages = 0
    while True:
        call = handle.list(query, after, limit)
        await call.ends()
        found += call.returned.infos
        pages += 1
        if len(call.returned.infos) > limit:
            raise context.broken(f"a page of {limit} has more", "")
        after = call.returned.after
        if after is None:
            return found
        if pages > _MAX_PAGES:
            raise context.broken("the listing has no end", "")


def _check_ids(
    context: LawContext,
    found: Sequence[PromiseInfo[bytes]],
    wanted: Sequence[str],
    query: Query,
) -> None:
    """
    Check which promises were listed, in their order.

    Raises:
        LawBrokenError: They are others.
    """
    ids = [info.id for info in found]
    if ids != list(wanted):
        raise context.broken(f"{query} finds {ids}, and not {list(wanted)}", *wanted)


@law(LISTED, "listing")
async def what_is_there_is_listed(context: LawContext) -> None:
    """
    All that was created or settled is listed, with all that `info` tells, and no more.

    What was only looked at, waited for, or disposed of is not.
    """
    a, b = await context.pair()
    head = context.id(tail="/")
    created, settled, both, named, waited, gone = (
        context.id(head=head) for _ in range(6)
    )
    await a.create(created, Terms(tags={"k": "v"}, data=b"[1]")).ends()
    await b.settle(settled, NO).gives(NO)
    await a.create(both, Terms()).ends()
    await b.settle(both, Resolved(b"1", by="alice")).ends()
    await a.peek(named).gives(PENDING)
    waiting = b.wait(waited)
    await a.create(gone, Terms()).ends()
    await a.dispose(gone).ends()
    await context.rest(waiting)
    query = Query(prefix=head)
    for handle in (a, b):
        found = await _all_pages(context, handle, query)
        _check_ids(context, found, [created, settled, both], query)
        for info in found:
            await handle.info(info.id).gives(info)


@law(ORDER, "listing")
async def listings_are_stable(context: LawContext) -> None:
    """
    All that is there the whole time is listed once, in an order that stays.

    Pages of one and of three, from both ends, while promises are created, settled and
    disposed of between them.
    """
    a, b = await context.pair()
    for limit, newest in ((1, False), (1, True), (3, False), (3, True)):
        head = context.id(tail="/")
        ids = [context.id(head=head) for _ in range(_MANY)]
        for id in ids:
            await a.create(id, Terms()).ends()
        query = Query(prefix=head, newest=newest)
        found: list[str] = []
        after: str | None = None
        step = 0
        while True:
            call = b.list(query, after, limit)
            await call.ends()
            found += [info.id for info in call.returned.infos]
            after = call.returned.after
            if after is None:
                break
            # One that stays is settled, one goes and comes back, and another comes.
            step += 1
            if step < _STEPS:
                await a.settle(ids[(4 * step) % _MANY], ONE).ends()
                await a.create(context.id(head=head), Terms()).ends()
            if step in _GONE:
                await a.dispose(ids[_GONE[step]]).ends()
                await a.settle(ids[_GONE[step]], NO).ends()
            if step > _MAX_PAGES:
                raise context.broken("the listing has no end", *ids)
        stayed = [id for n, id in enumerate(ids) if n not in _GONE.values()]
        seen = [id for id in found if id in set(stayed)]
        if seen != (stayed[::-1] if newest else stayed):
            raise context.broken(
                f"pages of {limit} found {seen} of {stayed}, newest={newest}", *ids
            )


@law(LISTED, "listing")
async def queries_find_what_they_say(context: LawContext) -> None:
    """A query finds what has its state, all its tags and its prefix, and no other."""
    a, b = await context.pair()
    head = context.id(tail="/")
    made: dict[str, PromiseInfo[bytes]] = {}
    for number in range(_MANY):
        tags = {"even": str(number % 2 == 0)} | ({"é": ""} if number % 3 else {})
        id = context.id(head=f"{head}{'%_*'[number % 3]}")
        state = (PENDING, ONE, NO, PENDING)[number % 4]
        await a.create(id, Terms(tags=tags)).ends()
        if isinstance(state, SETTLED):
            await b.settle(id, state).ends()
        made[id] = PromiseInfo(id, state, Terms(tags=tags))
    parts: list[dict[str, Any]] = [
        {},
        {"state": "pending"},
        {"state": "resolved"},
        {"state": "rejected", "tags": {"even": "True"}},
        {"tags": {"even": "False", "é": ""}},
        {"tags": {"even": ""}},
        {"tags": {"Even": "True"}},
        {"prefix": f"{head}%"},
        {"prefix": f"{head}_"},
        {"prefix": f"{head}*", "newest": True},
        {"ids": (next(iter(made)), f"{head}%*")},
        {"ids": ()},
    ]
    for number, part in enumerate(parts):
        query = Query(**{"prefix": head} | part)
        wanted = [id for id, info in made.items() if query.matches(info)]
        found = await _all_pages(context, b, query, (1000, 2)[number % 2])
        _check_ids(context, found, wanted[::-1] if query.newest else wanted, query)


@law(LISTING, "listing")
async def cursors_go_on(context: LawContext) -> None:
    """
    The cursor of any promise is a place to go on from, in both directions.

    Also of one that was settled or disposed of since.
    """
    a, b = await context.pair()
    head = context.id(tail="/")
    ids = [context.id(head=head) for _ in range(5)]
    for id in ids:
        await a.create(id, Terms()).ends()
    older, newer = Query(prefix=head), Query(prefix=head, newest=True)
    cursors = [info.cursor for info in await _all_pages(context, a, older)]
    await a.settle(ids[2], ONE).gives(ONE)
    await b.dispose(ids[3]).ends()
    left = [id for id in ids if id != ids[3]]
    for number, cursor in enumerate(cursors):
        after = [id for id in left if ids.index(id) > number]
        before = [id for id in left if ids.index(id) < number]
        for query, wanted in ((older, after), (newer, before[::-1])):
            found = await _all_pages(context, b, query, 2, cursor)
            _check_ids(context, found, wanted, query)
