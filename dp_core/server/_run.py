"""`serve`: a process that serves a store over HTTP until it is told to stop."""

from __future__ import annotations

import asyncio
import os
import resource
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Final, TypeAlias
from urllib.parse import quote, unquote, urlsplit

from anyio import CancelScope

from dp_core._client import connect
from dp_core._errors import BackendUnavailableError
from dp_core._safe_text import without_password
from dp_core.server._app import app
from dp_core.server._listener import authority, listen
from dp_core.server._settings import Settings
from dp_core.server._uvicorn import Server

__all__ = ["serve"]

SPARE_FILES: Final = 256
"""Open files that waits leave to everything else."""

Announce: TypeAlias = Callable[[str], object]


def _say(line: str) -> None:
    # Flushed, because whoever started us may be waiting for the line.
    print(line, flush=True)  # noqa: T201 - what it is for


async def serve(
    url: str | None = None,
    host: str = "127.0.0.1",
    port: int = 8080,
    settings: Settings = Settings(),  # noqa: B008 - frozen
    announce: Announce = _say,
) -> None:
    """
    Serve the promises of a store over HTTP until SIGTERM or SIGINT.

    Runs on asyncio. When it stops, waits are answered at once, and running
    operations get `Settings.grace_seconds`. A second signal kills the process,
    which promises survive.

    Args:
        url: The store's URL; by default `dp_core.default_url`.
        host: The name or address to listen at.
        port: The port to listen at; 0 for any that is free.
        settings: How to treat requests.
        announce: Called with lines for a person: where the server listens,
            once it does, and where its store is.

    Raises:
        BackendUnavailableError: It cannot listen there, or must not, because
            other machines could send requests without a token.
        UnknownBackendError: No installed plugin knows the store's URL.
    """
    _check_event_loop()
    promises = connect(url)
    with await listen(host, port, token=settings.token is not None) as listener:
        at = authority(host, listener)
        settings = replace(
            settings,
            allowed_hosts=(*settings.allowed_hosts, at),
            max_waiters=min(settings.max_waiters, _most_waiters()),
        )

        def started() -> None:
            announce(f"Listening on http://{at}")
            announce(f"Store {_findable(promises.url)}")

        server = Server(
            app(promises.backend, settings), settings.grace_seconds, started
        )
        try:
            await server.serve(sockets=[listener])
        finally:
            with CancelScope(shield=True):
                await server.finish([listener])
                await promises.aclose()


def _check_event_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        raise BackendUnavailableError(
            "uvicorn runs on asyncio; on trio, run dp_core.server.app(backend) under "
            "a server for trio"
        ) from None


def _findable(url: str) -> str:
    """Return a store URL for a person: directories absolute, no passwords."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        path = os.path.abspath(unquote(parts.path))  # noqa: PTH100 - links stay
        return f"file:{quote(path)}"
    return without_password(url)


def _most_waiters() -> int:
    """Raise the limit of open files; return how many requests may wait."""
    files, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        files = most
    if files == resource.RLIM_INFINITY:
        return sys.maxsize
    return files - min(SPARE_FILES, files // 2)
