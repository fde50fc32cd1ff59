"""Answers that take long to read: in a thread, whichever way they come."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from dp_backends.http._calling import _batches, _wire_client
from dp_core import Resolved
from support.http import Server, keep, keep_in, known

LONG, SHORT = Resolved(b'"%b"' % (b"x" * 40_000)), Resolved(b"1")
LOOP = threading.get_ident()


class Reader:
    """Functions that read answers, watched: where they run, and held back."""

    def __init__(self) -> None:
        self.threads: list[tuple[str, bool]] = []
        self.begun = threading.Event()
        self.may_end = threading.Event()
        self.may_end.set()

    def watching(self, read: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that does what *read* does."""

        def reading(*arguments: Any, **named: Any) -> Any:
            is_here = threading.get_ident() == LOOP
            self.threads.append((read.__name__, is_here))
            if not is_here:
                self.begun.set()
                self.may_end.wait(60)
            return read(*arguments, **named)

        return reading


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Reader:
    """Return a watch of all that reads answers."""
    reader = Reader()
    for room, name in ((_wire_client, "interpret"), (_batches, "read_batch_answer")):
        monkeypatch.setattr(room, name, reader.watching(getattr(room, name)))
    return reader


async def test_long_answers_are_read_in_a_thread(reader: Reader) -> None:
    """That of a lone call, of a wait, of a batch and of each call in it; short not."""
    async with Server().serving() as server:
        backend = await known(server.url)
        await server.backend.settle("long", LONG)
        await server.backend.settle("short", SHORT)
        reader.threads.clear()
        assert SHORT == await backend.peek("short")
        assert LONG == await backend.peek("long")
        assert LONG == await backend.wait("long")
        async with anyio.create_task_group() as group:
            group.start_soon(backend.peek, "short")
            group.start_soon(backend.peek, "long")
        await backend.aclose()

    alone, batched = reader.threads[:3], reader.threads[3:]
    assert [("interpret", here) for here in (True, False, False)] == alone
    assert [
        ("interpret", False),
        ("interpret", True),
        ("read_batch_answer", False),
    ] == sorted(batched)


@pytest.mark.parametrize("how", ["waits", "batch"])
async def test_an_answer_that_came_is_not_lost(how: str, reader: Reader) -> None:
    """Whoever reads it for all is cancelled meanwhile: the others get it, at once."""
    kept: list[Any] = []
    scope = anyio.CancelScope()

    async def peek(ends: anyio.CancelScope, id: str) -> None:
        with ends:
            kept.append(await backend.peek(id))

    async with Server().serving() as server:
        backend = await known(server.url)
        await server.backend.settle("long", LONG)
        asked = len(server.paths)
        reader.may_end.clear()
        with anyio.fail_after(60):
            async with anyio.create_task_group() as group:
                if how == "waits":
                    group.start_soon(keep_in, scope, backend, "long", kept)
                    group.start_soon(keep, backend, "long", kept)
                else:
                    group.start_soon(peek, scope, "long")
                    group.start_soon(peek, anyio.CancelScope(), "long")
                await anyio.to_thread.run_sync(reader.begun.wait, 60)
                scope.cancel()
                await anyio.wait_all_tasks_blocked()
                reader.may_end.set()
        await backend.aclose()

    assert {LONG} == {*kept}
    assert 1 == len(server.paths) - asked
