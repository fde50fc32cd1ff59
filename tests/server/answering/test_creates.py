"""Creates over HTTP: who is told to be the first, and how often the store is asked."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import count
from typing import Any

import anyio
import pytest

import dp_core as dp
from dp_backends.memory import MemoryBackend
from dp_core.server import app
from support.server.asgi_driver import ask

STORES = count()
TERMS = {"promiseId": "a", "tags": {"k": "v"}, "deadline": 3600}


class Counting(MemoryBackend):
    """A store that counts what it is asked."""

    def __init__(self) -> None:
        super().__init__(f"memory:creates-{next(STORES)}")
        self.asked: Counter[str] = Counter()

    async def create(self, id: str, terms: dp.Terms[bytes]) -> dp.Terms[bytes]:
        self.asked["create"] += 1
        return await super().create(id, terms)

    async def info(self, id: str) -> dp.PromiseInfo[bytes]:
        self.asked["info"] += 1
        return await super().info(id)


class Silent(Counting):
    """A store that does not say who was the first, as a third party's may."""

    async def create(self, id: str, terms: dp.Terms[bytes]) -> dp.Terms[bytes]:
        return replace(await super().create(id, terms), is_first=None)


async def statuses(promises: Any, *terms: Any) -> list[int | None]:
    """Return how creates are answered that come one after the other."""
    return [(await ask(promises, "/promise/create", one)).status for one in terms]


@pytest.mark.parametrize("kind", [Counting, Silent])
async def test_the_first_is_told_apart_from_equal_ones(kind: type[Counting]) -> None:
    """Also where the store does not say it."""
    backend = kind()
    promises = app(backend)

    assert [201, 200, 200] == await statuses(promises, TERMS, TERMS, TERMS)
    other = TERMS | {"promiseId": "b"}
    assert [201, 200] == await statuses(promises, other, other)


async def test_a_create_asks_the_store_twice() -> None:
    """For the terms, and for what is known then; three times where it must."""
    backend = Counting()
    promises = app(backend)
    await statuses(promises, {"promiseId": "so that it has said once who was first"})

    backend.asked.clear()
    await statuses(promises, TERMS)
    assert {"create": 1, "info": 1} == backend.asked
    await statuses(promises, TERMS)
    assert {"create": 2, "info": 2} == backend.asked

    silent = Silent()
    await statuses(app(silent), TERMS)
    assert {"create": 1, "info": 2} == silent.asked


async def test_who_creates_is_told_of_its_terms_though_they_are_gone() -> None:
    """Somebody has disposed of the promise before it could be asked for."""

    class Disposed(Counting):
        async def info(self, id: str) -> dp.PromiseInfo[bytes]:
            await self.dispose(id)
            return await super().info(id)

    answer = await ask(app(Disposed()), "/promise/create", TERMS)

    assert (201, {"k": "v"}) == (answer.status, answer.json()["tags"])
    assert "pending" == answer.json()["state"]


async def test_of_a_store_that_keeps_no_times_the_terms_decide() -> None:
    """Without a deadline from now they can be told to be the first all the same."""

    class Timeless(Silent):
        async def info(self, id: str) -> dp.PromiseInfo[bytes]:
            return replace(await super().info(id), created_at=None)

    terms = {"promiseId": "a", "tags": {"k": "v"}}
    promises = app(Timeless())

    assert [201, 200] == await statuses(promises, terms, terms)


@pytest.mark.parametrize("backend", ["memory", "file"])
async def test_one_of_many_is_the_first(backend: str, tmp_path: Any) -> None:
    """Of creates that come at once one is answered 201, though all ask for the same."""
    name = f"creates-{next(STORES)}"
    url = f"memory:{name}" if backend == "memory" else f"file:{tmp_path}/{name}"
    told: Counter[int | None] = Counter()
    # Two servers, of which neither knows the other.
    servers = [app(dp.connect(url).backend) for _ in range(2)]

    async def create(promises: Any) -> None:
        told[(await ask(promises, "/promise/create", TERMS)).status] += 1

    async with anyio.create_task_group() as tasks:
        for number in range(16):
            tasks.start_soon(create, servers[number % 2])
    assert {201: 1, 200: 15} == told
