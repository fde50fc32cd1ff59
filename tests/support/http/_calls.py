"""Calls of a client, and what comes of them."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import anyio

from dp_backends.http import HttpBackend
from dp_core import DurablePromiseError, Resolved
from dp_core.wire import Call, Dispose, Peek, Settle, Wait


async def eventually(condition: Callable[[], bool], every: float = 0.0) -> None:
    """
    Let other tasks run until *condition* holds.

    Args:
        condition: What to wait for.
        every: How often to look, in seconds; at each step of the event loop
            by default. Other processes need the time, too.

    Raises:
        TimeoutError: It does not hold after a minute, so a test that waits for
            what never comes fails, and does not hang.
    """
    with anyio.fail_after(60):
        while not condition():  # noqa: ASYNC110 - it may change in another process
            await anyio.sleep(every)


async def keep_error(
    operation: Callable[[], Awaitable[object]], kept: list[DurablePromiseError]
) -> None:
    """Append the error of ours that *operation* must end with."""
    try:
        result = await operation()
    except DurablePromiseError as error:
        kept.append(error)
    else:
        raise AssertionError(f"no error, but {result!r}")


async def make(backend: HttpBackend, call: Call, id: str = "a") -> object:
    """Make *call* for *id*, and return the answer."""
    match call:
        case Settle():
            return await backend.settle(id, call.outcome)
        case Peek():
            return await backend.peek(id)
        case Wait():
            return await backend.wait(id)
        case Dispose():
            await backend.dispose(id)
            return None


async def known(url: str) -> HttpBackend:
    """Return a handle that has met its server, so that it waits by waiting."""
    backend = HttpBackend(url)
    await backend.peek("met")
    return backend


def dead_url() -> str:
    """Return the URL of a port at which nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{sock.getsockname()[1]}"


async def together(
    *calls: Callable[[], Awaitable[object]],
) -> list[Any]:
    """Make calls in one step of the event loop; return what comes of each."""
    found: list[Any] = [None] * len(calls)

    async def make(place: int, call: Callable[[], Awaitable[object]]) -> None:
        try:
            found[place] = await call()
        except DurablePromiseError as error:
            found[place] = error

    async with anyio.create_task_group() as tasks:
        for place, call in enumerate(calls):
            tasks.start_soon(make, place, call)
    return found


def settles(backend: HttpBackend, count: int, value: bytes = b"1") -> list[Any]:
    """Return calls that settle so many promises."""
    return [partial(backend.settle, str(n), Resolved(value)) for n in range(count)]
