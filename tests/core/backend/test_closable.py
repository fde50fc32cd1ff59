"""`Closable`: closing a handle ends its waits, wherever they are."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from unittest.mock import patch

import anyio
import pytest

from dp_core import BackendClosedError, BackendUnavailableError, PromiseDisposedError
from dp_core.backend import Closable

LIMIT = 20.0


async def test_closing_ends_every_wait() -> None:
    """Those under way end with an error, and none begins any more."""
    life, ended = Closable(), []

    async def wait() -> None:
        with pytest.raises(BackendClosedError), life.wait():
            await anyio.sleep_forever()
        ended.append(True)

    with anyio.fail_after(LIMIT):
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            life.close()
            life.close()
    assert [True] * 3 == ended
    for begin in (life.check_open, lambda: life.wait().__enter__()):
        with pytest.raises(BackendClosedError, match="connect"):
            begin()


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_closing_ends_waits_in_other_event_loops(loop: str) -> None:
    """The wait is in an event loop of another thread, which may be of another kind."""
    life, waits = Closable(), Event()

    async def wait() -> None:
        with anyio.fail_after(LIMIT), life.wait():
            waits.set()
            await anyio.sleep_forever()

    with ThreadPoolExecutor(1) as threads:
        future = threads.submit(anyio.run, wait, backend=loop)
        assert waits.wait(LIMIT)
        life.close()
        with pytest.raises(BackendClosedError):
            future.result(LIMIT)


async def test_what_ended_before_keeps_its_end() -> None:
    """A result, an error and a cancellation from outside are passed on as they are."""
    life = Closable()
    with life.wait():
        pass
    with pytest.raises(PromiseDisposedError), life.wait():
        raise PromiseDisposedError("x")
    with pytest.raises(BackendUnavailableError), life.wait():
        raise BackendUnavailableError("away")
    with anyio.CancelScope() as scope, life.wait():
        scope.cancel()
        await anyio.sleep_forever()
    assert scope.cancelled_caught
    life.check_open()


async def test_a_failure_that_closing_caused_is_called_so() -> None:
    """A connection that is cut by closing may be noticed before the cancellation."""
    life = Closable()

    def wait() -> None:
        with life.wait():
            life.close()
            raise BackendUnavailableError("the connection was cut")

    with pytest.raises(BackendClosedError) as caught:
        wait()

    assert "cut" in str(caught.value.__cause__)


async def test_a_forked_child_leaves_the_waits_of_its_parent_alone() -> None:
    """They belong to an event loop that is not the child's."""
    life = Closable()
    with anyio.move_on_after(0.05) as scope, life.wait():
        with patch.object(os, "getpid", lambda: -1):
            life.close()
        await anyio.sleep_forever()

    assert scope.cancelled_caught


async def test_who_comes_while_a_handle_is_closed_is_told() -> None:
    """A wait that begins in the moment of the closing is not left out of it."""
    life = Closable()

    class Meanwhile(dict[object, object]):
        """Where waits are kept; another thread closes as one is."""

        def __setitem__(self, key: object, value: object) -> None:
            life.close()
            super().__setitem__(key, value)

    life._ends = Meanwhile()  # type: ignore[assignment] # the other thread
    with pytest.raises(BackendClosedError, match="connect"):
        life.add(lambda: None)
    assert {} == life._ends
