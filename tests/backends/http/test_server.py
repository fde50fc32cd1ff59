"""The HTTP backend against ``dp serve``: real processes that really die."""

from __future__ import annotations

import signal
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import anyio
import pytest
from anyio import to_thread

from dp_backends.http import HttpBackend
from dp_core import (
    MAX_VALUE_BYTES,
    AccessDeniedError,
    InvalidValueError,
    Outcome,
    Pending,
    PromiseDisposedError,
    Promises,
    Rejected,
    Resolved,
    connect,
)
from support.http import eventually
from support.server.proxies import free_port, serving

pytest.importorskip("granian", reason="the server needs durable-promises[server]")


async def test_all_operations_work(tmp_path: Path) -> None:
    """An outcome that one handle settles is seen by another through the server."""
    with serving(tmp_path) as (_, url):
        async with connect(url) as ours, connect(url) as theirs:
            assert Pending() == await ours.promise("a").peek()
            assert Resolved([1]) == await ours.promise("a").resolve([1])
            assert Resolved([1]) == await theirs.promise("a").reject("no")
            assert Rejected("no") == await theirs.promise("b").reject("no")
            assert [1] == await theirs.promise("a").get()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_is_disposed, theirs, "c")
                await _held(theirs, 1)
                await ours.promise("c").dispose()


async def _is_disposed(promises: Promises, id: str) -> None:
    with pytest.raises(PromiseDisposedError):
        await promises.promise(id).get()


async def _held(promises: Promises, count: int) -> None:
    """Return once the server knows of *count* waits of *promises*."""
    backend = promises.backend
    assert isinstance(backend, HttpBackend)

    await eventually(lambda: backend.stats().watched == count, every=0.01)


async def test_a_value_too_large_is_refused_in_words(tmp_path: Path) -> None:
    """Also where the server answers before it has got, or read, all of it."""
    with serving(tmp_path) as (_, url):
        async with connect(url, max_value_bytes=64 * MAX_VALUE_BYTES) as promises:
            promise = promises.promise("a")
            for size in (1, 8, 32):
                with pytest.raises(InvalidValueError, match="the server refuses"):
                    await promise.resolve("x" * size * MAX_VALUE_BYTES)

                assert Pending() == await promise.peek()


async def test_a_thousand_gets_at_once(tmp_path: Path) -> None:
    """One handle waits for a thousand promises at once, and none is lost."""
    kept: dict[str, object] = {}

    async def get(promises: Promises, id: str) -> None:
        kept[id] = await promises.promise(id).get()

    with serving(tmp_path) as (_, url):
        # A machine on which much else runs takes longer than the default allows.
        async with (
            connect(f"{url}?retry=120") as promises,
            anyio.create_task_group() as tasks,
        ):
            for n in range(1000):
                tasks.start_soon(get, promises, str(n))
            await _held(promises, 1000)
            async with connect(f"file:{tmp_path}") as store:
                for n in range(1000):
                    await store.promise(str(n)).resolve(n)

    assert {str(n): n for n in range(1000)} == kept


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
async def test_waiters_outlive_the_server(end: signal.Signals, tmp_path: Path) -> None:
    """
    Two hundred waiters and a watch, and a server that dies and comes back three times.

    Most are on event streams. What was settled while it was away reaches all of them,
    once, and nobody gets anything else.
    """
    kept: dict[int, object] = {}
    told: list[Any] = []
    streams: list[int] = []
    port = free_port()

    async def get(promises: Promises, n: int) -> None:
        kept[n] = await promises.promise(str(n % 100)).get()

    async def watch(backend: Any) -> None:
        async with backend.watch([str(n) for n in range(100)]) as each:
            watching.set()
            told.extend([outcome async for outcome in each])

    watching = anyio.Event()

    async with (
        connect(f"http://127.0.0.1:{port}") as promises,
        connect(f"file:{tmp_path}") as store,
        anyio.create_task_group() as tasks,
    ):
        for first in (0, 25, 50):
            with serving(tmp_path, port) as (process, _):
                if not first:
                    for n in range(200):
                        tasks.start_soon(get, promises, n)
                    tasks.start_soon(watch, promises.backend)
                    await watching.wait()
                await _held(promises, 201 - 2 * first)
                streams.append(promises.backend.stats().streams)  # type: ignore[attr-defined] # it is ours
                process.send_signal(end)
                await to_thread.run_sync(process.wait)
            for n in range(first, first + 25):
                await store.promise(str(n)).resolve(n)
        with serving(tmp_path, port):
            await _held(promises, 51)
            for n in range(75, 100):
                await store.promise(str(n)).resolve(n)
            await eventually(lambda: len(kept) == 200, every=0.01)

    assert {n: n % 100 for n in range(200)} == kept
    assert [(str(n), Resolved(b"%d" % n)) for n in range(100)] == sorted(
        told, key=lambda one: int(one[0])
    )
    assert 0 not in streams


async def test_settling_while_the_server_keeps_dying(tmp_path: Path) -> None:
    """
    Every settle returns the outcome that the store keeps.

    Two handles race for each promise, each by eight tasks whose settles go together;
    all are told the same winner.
    """
    told: dict[str, list[Outcome[object]]] = {}
    port, random = free_port(), Random(7)  # noqa: S311 - no secret

    async def settle(promises: Promises, who: int) -> None:
        for n in range(60):
            with anyio.fail_after(60):
                won = await promises.promise(str(n)).resolve([who, n])
            told.setdefault(str(n), []).append(won)

    def enough(count: int) -> bool:
        return sum(map(len, told.values())) >= count

    url = f"http://127.0.0.1:{port}"
    async with (
        connect(url) as ours,
        connect(url) as theirs,
        anyio.create_task_group() as tasks,
    ):
        for n, promises in enumerate((ours, theirs) * 8):
            tasks.start_soon(settle, promises, n)
        for _ in range(3):
            target = sum(map(len, told.values())) + random.randint(80, 240)
            with serving(tmp_path, port) as (process, _):
                await eventually(partial(enough, target), every=0.01)
                process.kill()
                await to_thread.run_sync(process.wait)
        with serving(tmp_path, port):
            await eventually(partial(enough, 960), every=0.01)

    async with connect(f"file:{tmp_path}") as store:
        for id, outcomes in told.items():
            stands = await store.promise(id).peek()
            assert [stands] * 16 == outcomes


@pytest.mark.parametrize("ours", [None, "another-token"])
async def test_the_token_opens_the_door(
    ours: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client with the server's token gets in; one without it is told so."""
    monkeypatch.delenv("DP_TOKEN_FILE", raising=False)
    monkeypatch.setenv("DP_TOKEN", "the-right-token")
    with serving(tmp_path) as (_, url):
        async with connect(url) as promises:
            assert Pending() == await promises.promise("a").peek()
        if ours is None:
            monkeypatch.delenv("DP_TOKEN")
        else:
            monkeypatch.setenv("DP_TOKEN", ours)
        async with connect(url) as promises:
            with pytest.raises(AccessDeniedError, match="DP_TOKEN"):
                await promises.promise("a").peek()
