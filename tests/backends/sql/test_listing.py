"""A listing of an SQL store is what the memory store says, however it is found."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import dp_core as dp
from dp_backends.sql import _listing
from dp_core.backend import Backend
from dp_core.testing import DeadlineClock

IDS = ["a", "a1", "a2", "ab", "b", "b1", "c", "Ä", "ä", "a\U0001f600", "%", "a%"]
KEYS = st.sampled_from(["k", "l", "Ä"])
TAGS = st.just({"k": "1"}) | st.dictionaries(
    KEYS, st.sampled_from(["", "1"]), max_size=2
)
PREFIXES = st.sampled_from(["", "a", "a1", "b", "Ä", "a%", "%", "zz", "\U0001f600"])
PATTERNS = st.lists(st.sampled_from([*IDS, "a*", "b*", "*", "zz", "ä*"]), max_size=3)

OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["create", "over", "resolve", "reject", "dispose"]),
        st.sampled_from(IDS),
        TAGS,
    ),
    min_size=5,
    max_size=40,
)
QUERIES = st.builds(
    dp.Query,
    state=st.sampled_from([None, "pending", "resolved", "rejected"]),
    tags=TAGS,
    prefix=PREFIXES,
    newest=st.booleans(),
    ids=st.none() | PATTERNS.map(tuple),
)


async def play(backend: Any, operations: list[tuple[str, str, dict[str, str]]]) -> None:
    """Do operations, one after another."""
    for name, id, tags in operations:
        match name:
            case "create":
                await backend.create(id, dp.Terms(tags=tags, data=b"1"))
            case "over":
                within = timedelta(hours=1)
                deadline = dp.backend.now() + within
                terms = dp.Terms(deadline=deadline, tags=tags, within=within)
                await backend.create(id, terms)
            case "resolve":
                await backend.settle(id, dp.Resolved(b"1"))
            case "reject":
                await backend.settle(id, dp.Rejected("no"))
            case _:
                await backend.dispose(id)


async def listed(backend: Any, query: dp.Query, limit: int) -> list[tuple[Any, ...]]:
    """Return what all pages of a listing say."""
    found: list[tuple[Any, ...]] = []
    after = None
    for _ in range(200):
        page = await backend.list(query, after, limit)
        assert len(page.infos) <= limit
        assert not page.failures
        found += [
            (info.id, info.state, info.terms and info.terms.tags, info.expired)
            for info in page.infos
        ]
        after = page.after
        if after is None:
            return found
    raise AssertionError("the listing does not end")


@pytest.mark.slow
@pytest.mark.parametrize("looks", [3, 10_000], ids=["many", "few"])
@given(operations=OPERATIONS, queries=st.lists(QUERIES, min_size=5, max_size=10))
@example(
    operations=[("over", id, {"k": "1"}) for id in ("a1", "a2", "ab", "b")],
    queries=[dp.Query(tags={"k": "1"})],
)
@settings(
    max_examples=40,
    # It is a function that opens a new store each time.
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_as_the_memory_store(
    operations: list[tuple[str, str, dict[str, str]]],
    queries: list[dp.Query],
    looks: int,
    open_store: Callable[[], Backend],
) -> None:
    """Random promises and queries: the same promises in the same order.

    Also where a page may look at three rows only, so that each way to find them is
    gone, and pages are empty although more follow.
    """

    async def compare() -> None:
        model, store = dp.connect(f"memory:{id(queries)}").backend, open_store()
        ids = {id for _, id, _ in operations}
        with DeadlineClock() as clock:
            await play(model, operations)
            await play(store, operations)
            clock.advance(timedelta(hours=2))
            for query in queries:
                expected = await listed(model, query, 1000)
                # The model meets all that is over; so does the other one from here on.
                for known in ids:
                    await store.peek(known)
                for limit in (1, 2, 1000):
                    assert expected == await listed(store, query, limit), query
        for known in ids:
            await model.dispose(known)
        await store.aclose()

    before, _listing._LOOKS = _listing._LOOKS, looks
    try:
        anyio.run(compare)
    finally:
        _listing._LOOKS = before


@pytest.fixture
def open_store(tmp_path: Path) -> Callable[[], Backend]:
    """Return a function that opens a new store."""
    numbers = iter(range(10_000))
    return lambda: dp.connect(f"sqlite:{tmp_path}/{next(numbers)}.db").backend
