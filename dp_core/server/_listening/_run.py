"""`serve`: a process that serves a store over HTTP until it is told to stop."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Final, TypeAlias
from urllib.parse import quote, unquote, urlsplit

from anyio import CancelScope, Event

from dp_core._client import connect
from dp_core._errors import BackendUnavailableError
from dp_core._text import without_password
from dp_core.server._app import app
from dp_core.server._listening._http_server import HttpServer
from dp_core.server._listening._listener import authority, reserve
from dp_core.server._settings import Settings

__all__ = ["serve"]

SPARE_FILES: Final = 256
"""Open files that connections leave to the store."""

WAITING_PART: Final = 3 / 4
"""The part of all connections that may wait; the others settle what is waited for."""

_LEAST_FILES: Final = 64
"""The files without which the HTTP server ends as it starts, or serves nobody."""

MOST_CONNECTIONS: Final = 100_000
"""The most connections, however many files may be open."""

_STOPPING: Final = (signal.SIGTERM, signal.SIGINT)

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
            other machines could send requests without a token; or this process may
            open too few files.
        UnknownBackendError: No installed plugin knows the store's URL.
    """
    _check_event_loop()
    most = _most_connections()
    promises = connect(url)
    try:
        with await reserve(host, port, token=settings.asks_for_tokens) as held:
            at = authority(host, held)
            settings = replace(
                settings,
                allowed_hosts=(*settings.allowed_hosts, at),
                max_waiters=min(settings.max_waiters, int(most * WAITING_PART)),
            )
            served = app(promises.backend, settings)
            server = HttpServer(served, held, settings, most)

            def started() -> None:
                announce(f"Listening on http://{at}")
                announce(f"Store {_findable(promises.url)}")

            try:
                with _stop_signals() as stop:
                    await server.run(started, stop)
            finally:
                served.close()
    finally:
        with CancelScope(shield=True):
            await promises.aclose()


@contextmanager
def _stop_signals() -> Iterator[Event]:
    """Set an event by the first SIGTERM or SIGINT; a second one kills the process."""
    stop = Event()
    if threading.current_thread() is not threading.main_thread():
        # Where signals do not arrive: whoever runs us there cancels us.
        yield stop
        return
    loop = asyncio.get_running_loop()

    def heard(number: signal.Signals) -> None:
        if stop.is_set():
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        stop.set()

    before = {number: signal.getsignal(number) for number in _STOPPING}
    try:
        for number in _STOPPING:
            loop.add_signal_handler(number, heard, number)
        yield stop
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)


def _check_event_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        raise BackendUnavailableError(
            "Granian runs on asyncio; on trio, run dp_core.server.app(backend) under "
            "a server for trio, such as Hypercorn"
        ) from None


def _findable(url: str) -> str:
    """Return a store URL for a person: directories absolute, no passwords."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        path = os.path.abspath(unquote(parts.path))  # noqa: PTH100 - links stay
        return f"file:{quote(path)}"
    return without_password(url)


def _most_connections() -> int:
    """
    Raise the limit of open files; return how many connections there may be.

    Raises:
        BackendUnavailableError: There would be none.
    """
    files, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        files = most
    if files == resource.RLIM_INFINITY:
        return MOST_CONNECTIONS
    if files < _LEAST_FILES:
        raise BackendUnavailableError(
            f"a server needs {_LEAST_FILES} open files, and this process may have "
            f"{files}; raise its limit (ulimit -n)"
        )
    return max(1, min(MOST_CONNECTIONS, files - min(SPARE_FILES, files // 4)))
