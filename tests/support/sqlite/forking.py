"""
A process that forks while it has a store open.

``python -m support.sqlite.forking SCENARIO PATH``: performs one of `SCENARIOS`, and
ends with an AssertionError if something was lost. ``DP_MUTANT`` names a mistake to make
(`mutants.sqlite.registry`).
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import anyio
from anyio.from_thread import BlockingPortal, start_blocking_portal

from dp_backends.sql.sqlite._session import SqliteSession
from dp_core import Promises, Resolved, connect
from mutants.sqlite.registry import mutated

__all__ = ["SCENARIOS"]


def _settled(promises: Promises, id: str, value: str) -> str:
    """Settle a promise in an event loop of its own; return what won."""

    async def settle() -> str:
        outcome: Any = await promises.promise(id).resolve(value)
        return str(outcome.value)

    return anyio.run(settle)


def _peeked_elsewhere(path: str, id: str) -> Any:
    """Return the state of a promise as another process sees it."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_peeked, (path, id))


def _peeked(path: str, id: str) -> Any:
    async def peek() -> Any:
        async with connect(f"sqlite:{path}") as promises:
            return await promises.promise(id).peek()

    return anyio.run(peek)


@contextmanager
def _forked(work: Callable[[Callable[[], object]], None]) -> Iterator[Any]:
    """
    Fork a child that works; end it, and see to it that it did well.

    Yields:
        A function that lets the child go on where it calls its argument, and waits
        for it to come there again.
    """
    to_child, to_parent = os.pipe(), os.pipe()

    def pause() -> None:
        os.write(to_parent[1], b"!")
        os.read(to_child[0], 1)

    child = os.fork()
    if child == 0:
        try:
            work(pause)
        except BaseException as error:  # noqa: BLE001 - it is reported, and the child ends
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    os.close(to_parent[1])

    def go_on() -> None:
        os.write(to_child[1], b"!")
        os.read(to_parent[0], 1)

    os.read(to_parent[0], 1)
    yield go_on
    os.write(to_child[1], b"!")
    _, status = os.waitpid(child, 0)
    assert 0 == status, "the child failed"


def locks_of_the_child_hold(path: str) -> None:
    """The parent closes its store, and the child's goes on: it has locks of its own."""
    promises = connect(f"sqlite:{path}")
    assert "before" == _settled(promises, "x", "before")

    def work(pause: Callable[[], object]) -> None:
        assert "before" == _settled(promises, "x", "child")
        pause()
        assert "child" == _settled(promises, "y", "child")
        pause()

    with _forked(work) as go_on:
        anyio.run(promises.aclose)
        go_on()
        assert Resolved("child") == _peeked_elsewhere(path, "y"), "it was lost"


def a_batch_under_way_is_finished_first(path: str) -> None:
    """The fork waits for it; a waiter of the parent hears of what the child settles."""
    begun, go = threading.Event(), threading.Event()
    commit = SqliteSession.commit
    told: list[object] = []

    def slow(self: SqliteSession) -> None:
        begun.set()
        go.wait()
        commit(self)

    with start_blocking_portal() as portal:
        promises = connect(f"sqlite:{path}")
        portal.call(_settle, promises, "first", "parent")
        waiter = portal.start_task_soon(_get, promises, "y")
        SqliteSession.commit = slow  # type: ignore[method-assign]
        settling = portal.start_task_soon(_settle, promises, "x", "parent")
        begun.wait()
        # Of the functions called before a fork, the one that came last is the first.
        os.register_at_fork(before=go.set)

        def work(pause: Callable[[], object]) -> None:
            pause()
            assert "parent" == _settled(promises, "x", "child")
            assert "child" == _settled(promises, "y", "child")

        with _forked(work):
            assert "parent" == settling.result(60)
        told.append(waiter.result(60))
        assert "child" == portal.call(_settle, promises, "y", "parent")
        portal.call(promises.aclose)
    assert ["child"] == told


async def _settle(promises: Promises, id: str, value: str) -> str:
    outcome: Any = await promises.promise(id).resolve(value)
    return str(outcome.value)


async def _get(promises: Promises, id: str) -> Any:
    with anyio.fail_after(60):
        return await promises.promise(id).get()


def many_forks_lose_nothing(path: str) -> None:
    """Threads of a process that settles all the time fork; all that is told stays."""
    promises = connect(f"sqlite:{path}")
    told: dict[str, str] = {}
    with start_blocking_portal() as portal:
        is_over = threading.Event()
        settling = portal.start_task_soon(_settle_many, promises, is_over, told)
        forking = [
            threading.Thread(target=_fork_often, args=(promises, f"{number}"))
            for number in range(2)
        ]
        for thread in forking:
            thread.start()
        for thread in forking:
            thread.join()
        is_over.set()
        settling.result(60)
        _check(portal, promises, told)
        portal.call(promises.aclose)


async def _settle_many(
    promises: Promises, is_over: threading.Event, told: dict[str, str]
) -> None:
    while not is_over.is_set():
        id = f"parent-{len(told)}"
        told[id] = await _settle(promises, id, id)


def _fork_often(promises: Promises, name: str) -> None:
    for number in range(6):
        child = os.fork()
        if child == 0:
            id = f"{name}-{number}"
            os._exit(0 if id == _settled(promises, id, id) else 1)
        assert 0 == os.waitpid(child, 0)[1]


def _check(portal: BlockingPortal, promises: Promises, told: dict[str, str]) -> None:
    ids = [*told, *(f"{n}-{number}" for n in range(2) for number in range(6))]
    for id in ids:
        assert id == portal.call(_settle, promises, id, "late"), f"{id} was lost"


def processes_of_multiprocessing_settle(path: str) -> None:
    """What it forks has the handle of its parent, and goes on with it."""
    promises = connect(f"sqlite:{path}")
    _settled(promises, "first", "parent")
    context = multiprocessing.get_context("fork")
    children = [
        context.Process(target=_settled, args=(promises, "x", f"{number}"))
        for number in range(4)
    ]
    for child in children:
        child.start()
    won = _settled(promises, "x", "parent")
    for child in children:
        child.join(60)
        assert 0 == child.exitcode
    assert Resolved(won) == _peeked(path, "x")


SCENARIOS: Final = {
    scenario.__name__: scenario
    for scenario in (
        locks_of_the_child_hold,
        a_batch_under_way_is_finished_first,
        many_forks_lose_nothing,
        processes_of_multiprocessing_settle,
    )
}
"""The scenarios by their names."""


if __name__ == "__main__":
    with mutated(os.environ.get("DP_MUTANT")):
        SCENARIOS[sys.argv[1]](sys.argv[2])
