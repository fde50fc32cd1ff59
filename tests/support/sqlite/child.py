"""
Processes that use the SQLite store by its public interface, to be killed.

Run by `dp_core.testing.crash.VictimRunner`. Besides the kit's operations they can
``sweep``, ask for ``info`` and a ``list``, and ``create`` a promise without a deadline.
Called with ``batch``, a process settles all promises of its steps in one transaction.
``DP_MUTANT`` names a mistake to make (`mutants.sqlite.registry`).
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
from anyio.lowlevel import checkpoint

from dp_backends.sql._backend import SqlBackend
from dp_core import Pending, Promises, Resolved, State, connect
from dp_core.testing.crash import Acknowledge, Step, serve
from dp_core.testing.crash._child import perform
from mutants.sqlite.registry import mutated

__all__ = ["one_batch"]


async def _perform(promises: Promises, step: Step) -> State[Any]:
    match step.do:
        case "sweep":
            backend: Any = promises.backend
            await backend.sweep(10)
        case "info":
            return (await promises.promise(step.promise).info()).state
        case "list":
            async for info in promises.list(prefix=step.promise):
                return info.state
        case "get":
            return Resolved(await promises.promise(step.promise).get())
        case "create":
            await promises.create(step.promise, tags={"made by": "a child"})
        case _:
            return await perform(promises, step)
    return Pending()


async def _one_by_one(url: str, steps: list[Step], acknowledge: Acknowledge) -> None:
    async with connect(url) as promises:
        for step in steps:
            acknowledge(await _perform(promises, step))


@asynccontextmanager
async def one_batch(promises: Promises, size: int) -> AsyncIterator[None]:
    """Let the calls that are begun in here, so many, be one batch."""
    backend = promises.backend
    assert isinstance(backend, SqlBackend)
    begun, go = threading.Event(), threading.Event()

    def hold(_: object) -> None:
        begun.set()
        go.wait()

    async with anyio.create_task_group() as tasks:
        # The thread is kept from taking the first ones alone.
        tasks.start_soon(backend._store.ask, hold)
        await _until(begun.is_set)
        yield
        calls = backend._store._worker._threads._calls
        await _until(lambda: len(calls) >= size)
        go.set()


async def _in_one_batch(promises: Promises, steps: list[Step]) -> list[State[Any]]:
    answers: dict[int, State[Any]] = {}

    async def one(number: int, step: Step) -> None:
        answers[number] = await perform(promises, step)

    async with anyio.create_task_group() as tasks, one_batch(promises, len(steps)):
        for number, step in enumerate(steps):
            tasks.start_soon(one, number, step)
    return [answers[number] for number in range(len(steps))]


async def _until(is_so: Callable[[], bool]) -> None:
    """Return once it is so, by another thread."""
    while not is_so():
        await checkpoint()


async def _at_once(url: str, steps: list[Step], acknowledge: Acknowledge) -> None:
    async with connect(url) as promises:
        for answer in await _in_one_batch(promises, steps):
            acknowledge(answer)


def main(way: str) -> None:
    """Serve processes that perform their steps that way."""
    work = _at_once if way == "batch" else _one_by_one
    # The loop's own modules are loaded before the first fork.
    anyio.run(anyio.sleep, 0)
    with mutated(os.environ.get("DP_MUTANT")):
        serve(lambda *args: anyio.run(work, *args), warm_up=connect)


if __name__ == "__main__":
    main((*sys.argv, "one by one")[1])
