"""Waits of a client, and how many there are."""

from __future__ import annotations

from typing import Any

import anyio

from dp_backends.http import HttpBackend
from dp_core import Outcome, Resolved
from support.http._server import Server

DONE = Resolved(b'"done"')


async def keep(backend: HttpBackend, id: str, kept: list[Any]) -> None:
    """Wait for a promise and append its outcome."""
    kept.append(await backend.wait(id))


async def met(backend: HttpBackend, server: Server) -> None:
    """Let the backend know the server, so that its waits begin with a wait."""
    await backend.peek("met")
    server.calls.clear()


def has_waiters(backend: HttpBackend, count: int) -> bool:
    """Return whether so many wait at this backend."""
    return backend.stats().waiters == count


async def keep_in(
    scope: anyio.CancelScope, backend: HttpBackend, id: str, kept: list[Outcome[bytes]]
) -> None:
    """Do so until a scope is cancelled."""
    with scope:
        await keep(backend, id, kept)


def waiting(count: int, server: Server) -> bool:
    """Return whether so many requests wait for the promise a."""
    return server.waiting["a"] == count
