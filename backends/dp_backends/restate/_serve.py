"""
The process that hosts the handlers, for Restate to call.

granian, because Restate talks with handlers in both directions at once, which
takes HTTP/2, and it does so with the least time for each call of the servers
that were measured (docs/scale-out.md).
"""

from __future__ import annotations

import asyncio
import ipaddress
import signal
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import anyio
import restate
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP2Settings
from granian.log import LogLevels
from granian.server.embed import Server
from restate.server import install_shutdown_hook

from dp_backends.restate._object import promises
from dp_backends.restate._service import promise
from dp_core import BackendError, BackendUnavailableError

__all__ = ["application", "first", "is_loopback", "serve"]

_STREAMS: Final = 100_000
"""Calls under way at once; Restate has limits of its own."""


def application(identity_keys: Sequence[str] = ()) -> Any:
    """
    Return the ASGI app of the handlers, for any server that speaks HTTP/2.

    Args:
        identity_keys: Public keys of Restate (``publickeyv1_…``). With any,
            calls that are not signed by one of them are refused.
    """
    return restate.app([promises, promise], identity_keys=list(identity_keys))


async def serve(
    host: str,
    port: int,
    identity_keys: Sequence[str],
    started: Callable[[], Awaitable[object]],
) -> None:
    """
    Serve the handlers until SIGTERM or SIGINT.

    It stops there and then: Restate calls again what had not returned.

    Args:
        host: The address to listen at.
        port: The port to listen at.
        identity_keys: As for `application`.
        started: Called once Restate may call.

    Raises:
        BackendUnavailableError: It cannot listen there.
    """
    _check_free(host, port)
    server = Server(
        application(identity_keys),
        address=host,
        port=port,
        interface=Interfaces.ASGINL,
        http=HTTPModes.http2,
        http2_settings=HTTP2Settings(max_concurrent_streams=_STREAMS),
        websockets=False,
        backpressure=_STREAMS,
        log_level=LogLevels.critical,
    )
    listening, stop = anyio.Event(), anyio.Event()
    server.on_startup(listening.set)
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        # The SDK handles signals too, and this is how both can.
        install_shutdown_hook(loop, stop.set, signum)

    async def run() -> None:
        await server.serve()
        raise BackendError("the server of the handlers has stopped by itself")

    async def watch() -> None:
        await listening.wait()
        await started()
        await stop.wait()

    await first(run, watch)


async def first(*functions: Callable[[], Awaitable[object]]) -> None:
    """Run *functions* at once, until one of them returns or raises."""
    failures: list[Exception] = []

    async def run(function: Callable[[], Awaitable[object]]) -> None:
        try:
            await function()
        except Exception as error:  # noqa: BLE001 - raised below, without a group
            failures.append(error)
        tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        for function in functions:
            tasks.start_soon(run, function)
    if failures:
        raise failures[0]


def is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches what listens at *host*."""
    return ipaddress.ip_address(host).is_loopback


def _check_free(host: str, port: int) -> None:
    """Refuse an address that is taken: the server would share it instead."""
    try:
        version = ipaddress.ip_address(host).version
        family = socket.AF_INET if version == 4 else socket.AF_INET6
        with socket.socket(family) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind((host, port))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise BackendUnavailableError(
            f"cannot listen at {host}, port {port} ({reason}); choose another"
        ) from None
