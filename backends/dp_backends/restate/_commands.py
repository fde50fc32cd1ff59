"""`commands`: the group ``dp restate`` of the command line."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from subprocess import Popen
from typing import Any, Final

import anyio
import click

from dp_backends.restate._admin import ADMIN_URL, known_ids, until_answered
from dp_backends.restate._host import (
    host_services,
    is_open,
    register_services,
    run_until_first,
    serve,
    url_at,
)
from dp_backends.restate._restate_server import (
    Node,
    cluster_nodes,
    running_servers,
    wait_until_exit,
)
from dp_backends.restate._service import SERVICES
from dp_core import BackendError
from dp_core.backend import read_whole
from dp_core.cli import Status, examples

__all__ = ["commands"]

# uvloop takes a quarter of the CPU time off each settle (benchmarks/bench_restate.py).
_UVLOOP: Final = {"use_uvloop": True}

_HINT: Final = """
In another shell, try:

  export DP_URL={node.ingress_url}
  dp get greeting &
  dp resolve greeting hello

Restate's own pages are at {node.admin_url}; Ctrl-C stops everything.\
"""


class _PlainRange(click.IntRange):
    """A range of whole numbers, in plain digits."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Return the number; fail where it is not one, or not within the range."""
        if isinstance(value, str):
            try:
                value = read_whole(value)
            except ValueError as error:
                self.fail(str(error), param, ctx)
        return super().convert(value, param, ctx)


def _port(name: str, default: int, help: str) -> Callable[[Any], Any]:
    return click.option(
        name,
        type=_PlainRange(1, 65535),
        default=default,
        metavar="PORT",
        show_default=True,
        help=help,
    )


@click.group("restate", epilog=examples("dp restate up"))
def commands() -> None:
    """Keep promises on Restate, an engine that spans machines."""


@commands.command(
    "serve",
    epilog=examples(
        "dp restate serve",
        f"dp restate serve --register {ADMIN_URL}",
    ),
)
@click.option(
    "--host",
    default="127.0.0.1",
    metavar="ADDRESS",
    show_default=True,
    help="The IP address to listen at for calls of Restate.",
)
@_port("--port", 9080, "The port to listen at.")
@click.option(
    "--register",
    metavar="ADMIN_URL",
    help=f"Register with the Restate of this admin API, such as {ADMIN_URL}.",
)
@click.option(
    "--advertise",
    metavar="URL",
    help="The URL by which Restate reaches this service.  "
    "[default: its address and port]",
)
@click.option(
    "--identity-key",
    "identity_keys",
    multiple=True,
    metavar="KEY",
    help="Refuse calls that the Restate of this key has not signed: publickeyv1_…",
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

    It has no state of its own: kill it at will, if it is at the same URL again soon.
    Clients use the URL of Restate's ingress: dp --url http://localhost:8080 get ID.
    """
    if not identity_keys and is_open(host):
        click.echo(
            "dp: without --identity-key, anybody who reaches this address can call the "
            "handlers; promises are safe, because their state is in Restate.",
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
    anyio.run(serving, backend_options=_UVLOOP)
    return Status.RESOLVED


@commands.command(
    "up", epilog=examples("dp restate up", "dp restate up --nodes 3 --base-dir ./data")
)
@click.option(
    "--base-dir",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("restate-data"),
    metavar="PATH",
    show_default=True,
    help="The directory in which the servers keep the promises.",
)
@click.option(
    "--nodes",
    "number",
    type=_PlainRange(1, 9),
    default=1,
    metavar="NUMBER",
    show_default=True,
    help="The number of servers; with 3, any one may fail. Each has ports of its "
    "own: those below for the first, the next ones for the others.",
)
@_port("--port", 8080, "The port for clients (Restate's ingress).")
@_port("--admin-port", 9070, "The port of Restate's admin API and pages.")
@_port("--node-port", 5122, "The port for other nodes.")
@_port("--service-port", 9080, "The port for Restate's calls to the service.")
def up(  # noqa: PLR0913, PLR0917 - they are options
    directory: Path,
    number: int,
    port: int,
    admin_port: int,
    node_port: int,
    service_port: int,
) -> Status:
    """
    Run a restate-server and the service here, to try them, until Ctrl-C.

    The server must be installed: npm install --global @restatedev/restate-server
    """
    # Until the service handles SIGTERM itself, treat it as Ctrl-C, which cancels the
    # task; an exception from a signal handler could hit the event loop's own code.
    # A shell script starts what runs in the background with Ctrl-C ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    node = Node(directory.absolute(), port, admin_port, node_port)
    anyio.run(_up, cluster_nodes(number, node), service_port, backend_options=_UVLOOP)
    return Status.RESOLVED


async def _up(nodes: Sequence[Node], port: int) -> None:
    click.echo(f"Starting restate-server in {nodes[0].directory}")
    async with running_servers(nodes) as servers:

        async def started() -> None:
            url = url_at("127.0.0.1", port)
            await register_services(nodes[0].admin_url, url, SERVICES)
            for node in nodes:
                # Each node learns of the services by itself, the first one first.
                if why := await until_answered(node.ingress_url):
                    raise BackendError(f"{why}; see {node.log}")
            for node, server in zip(nodes, servers, strict=True):
                click.echo(f"Promises are at {node.ingress_url} (process {server.pid})")
            click.echo(_HINT.format(node=nodes[0]))

        async def watch(node: Node, server: Popen[bytes]) -> None:
            await wait_until_exit(server)
            stopped = f"the server at {node.ingress_url} has stopped; see {node.log}"
            if len(nodes) == 1:
                raise BackendError(stopped)
            click.echo(stopped)
            await anyio.sleep_forever()

        await run_until_first(
            partial(host_services, SERVICES, "127.0.0.1", port, (), started),
            *(partial(watch, *pair) for pair in zip(nodes, servers, strict=True)),
        )
        click.echo("Stopping restate-server")


@commands.command(
    "ids",
    epilog=examples(
        "dp restate ids",
        "dp restate ids | dp copy http://localhost:8080 file:./promises --ids -",
    ),
)
@click.option(
    "--admin",
    default=ADMIN_URL,
    metavar="ADMIN_URL",
    show_default=True,
    help="The URL of Restate's admin API.",
)
def ids(admin: str) -> Status:
    """List the ids of promises that were settled or created, one a line, as JSON."""
    for id in anyio.run(known_ids, admin):
        click.echo(json.dumps(id))
    return Status.RESOLVED
