"""
`serve`: host handlers in this process, for Restate to call.

The server is granian. Restate sends and receives on one stream at once, which
needs HTTP/2, and of the servers that were measured, granian takes the least CPU
time for each call (docs/how-to/move-to-restate.md).
"""

from __future__ import annotations

import asyncio
import ipaddress
import signal
import socket
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any, Final, TypeAlias

import anyio
import restate
from restate import Service, VirtualObject, Workflow
from restate.server import install_shutdown_hook

from dp_backends.restate._admin import (
    Registration,
    ingress_url,
    register_deployment,
    seconds_ahead,
    until_answered,
)
from dp_backends.restate._http2_server import run_app
from dp_backends.restate._names import SERVICE
from dp_core import BackendError, BackendUnavailableError
from dp_core.backend import quoted

__all__ = [
    "Hosted",
    "host_services",
    "is_open",
    "register_services",
    "run_until_first",
    "serve",
    "url_at",
]

Hosted: TypeAlias = Service | VirtualObject | Workflow
"""Everything with handlers that Restate's SDK can host."""

_CLOCK_SECONDS: Final = 3
"""The difference of clocks that is named: it is seen to a second, by a slow answer."""


def _print_line(line: str) -> None:
    # Flushed, because the process that started us may be waiting for the line.
    print(line, flush=True)  # noqa: T201 - the caller can choose another way


async def serve(  # noqa: PLR0913 - each has a default
    services: Iterable[Hosted],
    host: str = "127.0.0.1",
    port: int = 9080,
    *,
    register: str | None = None,
    advertise: str | None = None,
    identity_keys: Iterable[str] = (),
    announce: Callable[[str], object] = _print_line,
) -> None:
    """
    Host services until SIGTERM or SIGINT.

    Runs on asyncio. On a signal it stops at once: Restate calls unfinished handlers
    again, here or in another process.

    Args:
        services: The services to host; made with Restate's SDK.
        host: The IP address to listen at.
        port: The port to listen at.
        register: The URL of the admin API of the Restate that is to call them,
            such as ``http://localhost:9070``. None: they are registered by other
            means.
        advertise: The URL by which Restate reaches this process, where that is
            not ``http://host:port``.
        identity_keys: Public keys of Restate (``publickeyv1_…``). With any,
            calls that it has not signed are refused.
        announce: Called with lines for a person: one when the server listens,
            and one when the services are registered, and those of promises answer
            at Restate's ingress, or why they do not; and by how much the clocks
            differ, if they do.

    Raises:
        BackendUnavailableError: The address cannot be listened at, or Restate
            cannot be reached.
        BackendError: Restate refuses the services, or a key is not valid.
    """
    services = list(services)
    here = url_at(host, port)

    async def started() -> None:
        announce(f"Listening at {here}")
        if register is not None:
            done = await register_services(register, advertise or here, services)
            notes = await _ingress_failure(register, services), await _clocks(register)
            announce(f"{advertise or here} {done.value} at {register}{''.join(notes)}")

    await host_services(services, host, port, identity_keys, started)


async def host_services(
    services: Iterable[Hosted],
    host: str,
    port: int,
    identity_keys: Iterable[str],
    started: Callable[[], Awaitable[object]],
) -> None:
    """Host services until a signal; call *started* once the server listens."""
    _check_address(host, port)
    app, listening, stop = _app(services, identity_keys), anyio.Event(), anyio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        # Not loop.add_signal_handler: it would replace the SDK's own handler.
        install_shutdown_hook(loop, stop.set, signum)

    async def start() -> None:
        await listening.wait()
        await started()
        await anyio.sleep_forever()

    async def wait_for_signal() -> None:
        await listening.wait()
        await stop.wait()

    await run_until_first(
        partial(run_app, app, host, port, listening), start, wait_for_signal
    )


async def register_services(
    admin: str, url: str, services: Iterable[Hosted]
) -> Registration:
    """Register hosted services with Restate, as `register_deployment` does."""
    versions = {
        service.name: (service.service_tag.metadata or {}).get("version")
        for service in services
    }
    return await register_deployment(admin, url, versions)


async def _ingress_failure(admin: str, services: Iterable[Hosted]) -> str:
    """Return nothing once Restate's ingress answers a peek; else why it does not."""
    if all(service.name != SERVICE for service in services):
        return ""
    ingress = await ingress_url(admin)
    if ingress is None or (why := await until_answered(ingress)) is None:
        return ""
    return f"; but its ingress, seen from here, is not ready: {why}"


async def _clocks(admin: str) -> str:
    """Return nothing if the clocks are in step; else by how much they differ."""
    ahead = await seconds_ahead(admin)
    if abs(ahead) < _CLOCK_SECONDS:
        return ""
    how = "ahead of" if ahead > 0 else "behind"
    return (
        f"; but the clock here is {abs(ahead):,} s {how} Restate's: keep them in step, "
        "or waits with a time may end late"
    )


def is_open(host: str) -> bool:
    """Return whether other machines may reach what listens at *host*."""
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False  # Refused when it is to be listened at.


def url_at(host: str, port: int) -> str:
    """Return the URL of a server that listens at an IP address and port."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def run_until_first(*functions: Callable[[], Awaitable[object]]) -> None:
    """Run *functions* concurrently, until one of them returns or raises."""
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


def _app(services: Iterable[Hosted], identity_keys: Iterable[str]) -> Any:
    """Return the app of *services*; *identity_keys* are checked first."""
    keys = list(identity_keys)
    for key in keys:
        try:
            restate.app((), identity_keys=[key])
        except Exception as error:  # noqa: BLE001 - the SDK's own error is private
            raise BackendError(
                f"{quoted(key)} is not a valid identity key ({error}); restate-server "
                "writes its own to its log, publickeyv1_…"
            ) from None
    return restate.app(services, identity_keys=keys)


def _check_address(host: str, port: int) -> None:
    """Refuse an address that is in use: granian would share it."""
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
