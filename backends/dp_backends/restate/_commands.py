"""``dp restate``: promises on Restate, from a terminal."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Sequence
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from subprocess import Popen
from typing import Any, Final

import anyio
import click

from dp_backends.restate._admin import ADMIN_URL, settled_ids
from dp_backends.restate._object import promises
from dp_backends.restate._serve import first, make_known, run, serve, url_of
from dp_backends.restate._server import Node, cluster, ended, running
from dp_backends.restate._service import promise
from dp_core import BackendError
from dp_core.cli import Status

__all__ = ["SERVICES", "commands"]

SERVICES: Final = (promises, promise)

# A quarter less CPU time for each settle (benchmarks/bench_restate.py).
_FAST: Final = {"use_uvloop": True}

_WHAT_TO_TRY: Final = """
In another shell, try:

  export DP_URL={node.ingress_url}
  dp get greeting &
  dp resolve greeting hello

Restate's own view is at {node.admin_url}; Ctrl-C ends it all.\
"""


def _port(name: str, default: int, help: str) -> Callable[[Any], Any]:
    return click.option(
        name,
        type=click.IntRange(1, 65535),
        default=default,
        metavar="PORT",
        show_default=True,
        help=help,
    )


@click.group("restate")
def commands() -> None:
    """Keep promises on Restate, an engine that spans machines."""


@commands.command("serve")
@click.option(
    "--host",
    default="127.0.0.1",
    metavar="ADDRESS",
    show_default=True,
    help="The IP address to listen at, for Restate to call.",
)
@_port("--port", 9080, "The port to listen at.")
@click.option(
    "--register",
    metavar="ADMIN_URL",
    help=f"Have the Restate there call it, such as {ADMIN_URL}.",
)
@click.option(
    "--advertise",
    metavar="URL",
    help="How Restate reaches this service.  [default: its address and port]",
)
@click.option(
    "--identity-key",
    "identity_keys",
    multiple=True,
    metavar="KEY",
    help="Refuse calls that this Restate has not signed: publickeyv1_…",
)
def serve_command(
    host: str,
    port: int,
    register: str | None,
    advertise: str | None,
    identity_keys: tuple[str, ...],
) -> Status:
    """
    Run the service by which Restate keeps promises, until SIGTERM or Ctrl-C.

    It holds nothing: run several, stop and kill them at will. Promises are asked
    for at Restate's ingress: dp --url http://localhost:8080 get ID.
    """
    if not (identity_keys or ip_address(host).is_loopback):
        click.echo(
            "Without --identity-key, whoever reaches this address can call the "
            "handlers, though not the promises.",
            err=True,
        )
    serving = partial(
        serve,
        SERVICES,
        host,
        port,
        register=register,
        advertise=advertise,
        identity_keys=identity_keys,
        announce=click.echo,
    )
    anyio.run(serving, backend_options=_FAST)
    return Status.RESOLVED


@commands.command("up")
@click.option(
    "--base-dir",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("restate-data"),
    metavar="PATH",
    show_default=True,
    help="Where it keeps the promises.",
)
@click.option(
    "--nodes",
    "number",
    type=click.IntRange(1, 9),
    default=1,
    metavar="NUMBER",
    show_default=True,
    help="How many servers; with 3, any one may fail. Each has ports of its own, "
    "from those below on.",
)
@_port("--port", 8080, "Where promises are asked for.")
@_port("--admin-port", 9070, "Restate's administration, for browsers too.")
@_port("--node-port", 5122, "For nodes among themselves.")
@_port("--service-port", 9080, "Where Restate calls the service.")
def up(  # noqa: PLR0913, PLR0917 - they are options
    directory: Path,
    number: int,
    port: int,
    admin_port: int,
    node_port: int,
    service_port: int,
) -> Status:
    """
    Try it: a restate-server and the service, here, until Ctrl-C.

    The server must be installed: npm install --global @restatedev/restate-server
    """
    # Until the service takes over, to stop it politely is to interrupt it: that
    # cancels the task, where an exception could hit the event loop's own code.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    node = Node(directory.absolute(), port, admin_port, node_port)
    anyio.run(_up, cluster(number, node), service_port, backend_options=_FAST)
    return Status.RESOLVED


async def _up(nodes: Sequence[Node], port: int) -> None:
    click.echo(f"Starting restate-server in {nodes[0].directory}")
    async with running(nodes) as servers:

        async def started() -> None:
            await make_known(nodes[0].admin_url, url_of("127.0.0.1", port), SERVICES)
            for node, server in zip(nodes, servers, strict=True):
                click.echo(f"Promises are at {node.ingress_url} (process {server.pid})")
            click.echo(_WHAT_TO_TRY.format(node=nodes[0]))

        async def watch(node: Node, server: Popen[bytes]) -> None:
            await ended(server)
            stopped = f"the server at {node.ingress_url} has stopped; see {node.log}"
            if len(nodes) == 1:
                raise BackendError(stopped)
            click.echo(stopped)
            await anyio.sleep_forever()

        await first(
            partial(run, SERVICES, "127.0.0.1", port, (), started),
            *(partial(watch, *pair) for pair in zip(nodes, servers, strict=True)),
        )
        click.echo("Stopping restate-server")


@commands.command("ids")
@click.option(
    "--admin",
    default=ADMIN_URL,
    metavar="ADMIN_URL",
    show_default=True,
    help="Restate's administration.",
)
def ids(admin: str) -> Status:
    """
    List the ids of settled promises, one in a line, as JSON.

    This is how to copy them elsewhere: dp restate ids | dp copy http://… file:… --ids -
    """
    for id in anyio.run(settled_ids, admin):
        click.echo(json.dumps(id))
    return Status.RESOLVED
