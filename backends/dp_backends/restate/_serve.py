"""
The process that hosts handlers, for Restate to call.

By granian, because Restate talks with handlers in both directions at once,
which takes HTTP/2, and of the servers that were measured it does so with the
least time for each call (docs/how-to/move-to-restate.md).
"""

from __future__ import annotations

import asyncio
import ipaddress
import signal
import socket
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, TypeAlias

import anyio
import restate
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP2Settings
from granian.log import LogLevels
from granian.server.embed import Server
from restate import Service, VirtualObject, Workflow
from restate.server import install_shutdown_hook

from dp_backends.restate._admin import Registration
from dp_backends.restate._admin import register as register_at
from dp_core import BackendError, BackendUnavailableError

__all__ = ["Hosted", "first", "make_known", "run", "serve", "url_of"]

Hosted: TypeAlias = Service | VirtualObject | Workflow

_STREAMS: Final = 100_000
"""Calls under way at once; Restate has limits of its own."""


def _say(line: str) -> None:
    # Flushed, because whoever started us may be waiting for the line.
    print(line, flush=True)  # noqa: T201 - what it is for


async def serve(  # noqa: PLR0913 - each has a default
    services: Iterable[Hosted],
    host: str = "127.0.0.1",
    port: int = 9080,
    *,
    register: str | None = None,
    advertise: str | None = None,
    identity_keys: Iterable[str] = (),
    announce: Callable[[str], object] = _say,
) -> None:
    """
    Host services until SIGTERM or SIGINT.

    Runs on asyncio. It stops there and then: what had not returned is called
    again by Restate, here or elsewhere.

    Args:
        services: What to host; made with Restate's SDK.
        host: The IP address to listen at.
        port: The port to listen at.
        register: The URL of the administration of the Restate that is to call
            them, such as ``http://localhost:9070``.
        advertise: The URL by which Restate reaches this process, where that is
            not its own address and port.
        identity_keys: Public keys of Restate (``publickeyv1_…``). With any,
            calls that it has not signed are refused.
        announce: Called with lines for a person: where it listens, once it
            does, and that it is registered, once it is.

    Raises:
        BackendUnavailableError: It cannot listen there, or no Restate is there.
        BackendError: Restate does not take the services.
    """
    services = list(services)
    here = url_of(host, port)

    async def started() -> None:
        announce(f"Listening at {here}")
        if register is not None:
            done = await make_known(register, advertise or here, services)
            announce(f"{advertise or here} {done.value} at {register}")

    await run(services, host, port, identity_keys, started)


async def run(
    services: Iterable[Hosted],
    host: str,
    port: int,
    identity_keys: Iterable[str],
    started: Callable[[], Awaitable[object]],
) -> None:
    """Host services until somebody says stop; call *started* when they are there."""
    _check_free(host, port)
    server = Server(
        restate.app(services, identity_keys=list(identity_keys)),
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

    async def host_them() -> None:
        await server.serve()
        raise BackendError("the server of the handlers has stopped by itself")

    async def wait_for_the_end() -> None:
        await listening.wait()
        await started()
        await stop.wait()

    await first(host_them, wait_for_the_end)


async def make_known(admin: str, url: str, services: Iterable[Hosted]) -> Registration:
    """Register services with Restate; see `_admin.register`."""
    versions = {
        service.name: (service.service_tag.metadata or {}).get("version")
        for service in services
    }
    return await register_at(admin, url, versions)


def url_of(host: str, port: int) -> str:
    """Return the URL of what listens at an IP address."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


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
