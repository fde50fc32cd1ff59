"""`Node`: a restate-server on this machine; how to find, start and stop it."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from typing import Final, final

import anyio

from dp_backends.restate._admin import is_healthy
from dp_core import BackendUnavailableError

__all__ = [
    "Node",
    "cluster_nodes",
    "find_program",
    "running_servers",
    "wait_until_exit",
]

_PACKAGE: Final = "@restatedev/restate-server"
_STOP_SECONDS: Final = 15
"""The time that a server has to stop, before it is killed."""


@final
@dataclass(frozen=True, slots=True)
class Node:
    """
    A restate-server on this machine: its directory and its ports.

    Attributes:
        directory: Its data and its log; made when the server starts.
        ingress: The port for calls, of promises and of handlers.
        admin: The port of its admin API.
        fabric: The port for other nodes.
        cluster: The fabric ports of all nodes, in their order; empty for one node.
    """

    directory: Path
    ingress: int = 8080
    admin: int = 9070
    fabric: int = 5122
    cluster: tuple[int, ...] = ()

    @property
    def ingress_url(self) -> str:
        return f"http://localhost:{self.ingress}"

    @property
    def admin_url(self) -> str:
        return f"http://localhost:{self.admin}"

    @property
    def log(self) -> Path:
        return self.directory / "restate-server.log"

    def environment(self) -> dict[str, str]:
        """Return the environment variables that configure restate-server so."""
        environment = {
            **os.environ,
            "RESTATE_BASE_DIR": str(self.directory),
            # By default a node has its machine's name, and refuses the data of a
            # node with another name.
            "RESTATE_NODE_NAME": "dp",
            # By default it listens at every address of the machine.
            "RESTATE_BIND_IP": "127.0.0.1",
            "RESTATE_BIND_PORT": str(self.fabric),
            "RESTATE_INGRESS__BIND_PORT": str(self.ingress),
            "RESTATE_ADMIN__BIND_PORT": str(self.admin),
            "RESTATE_LISTEN_MODE": "tcp",
            "RESTATE_LOG_DISABLE_ANSI_CODES": "true",
        }
        if self.cluster:
            addresses = [f"http://127.0.0.1:{port}" for port in self.cluster]
            first = self.fabric == self.cluster[0]
            environment |= {
                "RESTATE_CLUSTER_NAME": "dp",
                "RESTATE_NODE_NAME": f"dp-{self.cluster.index(self.fabric) + 1}",
                # The first node makes the cluster, the others join it.
                "RESTATE_AUTO_PROVISION": "true" if first else "false",
                "RESTATE_METADATA_CLIENT__ADDRESSES": json.dumps(addresses),
                "RESTATE_ADVERTISED_ADDRESS": f"http://127.0.0.1:{self.fabric}",
                # Acknowledged records are on two disks: any one node may fail.
                "RESTATE_DEFAULT_REPLICATION": "2",
            }
        return environment


def cluster_nodes(number: int, first: Node) -> list[Node]:
    """
    Return the nodes of a cluster on this machine.

    Args:
        number: The number of nodes; for 1, the node is *first* itself.
        first: Its directory is to hold theirs, and its ports are the lowest.
    """
    if number == 1:
        return [first]
    fabric = tuple(first.fabric + n for n in range(number))
    return [
        Node(
            first.directory / f"node-{n + 1}",
            first.ingress + n,
            first.admin + n,
            fabric[n],
            fabric,
        )
        for n in range(number)
    ]


def find_program() -> Path | None:
    """
    Return the path of the restate-server binary, or None if it is not installed.

    The places are those in ``PATH``, and those where npm installs to: the working
    directory, and the environment of this Python (npm install --prefix).
    """
    npm = (Path(base, "node_modules", ".bin") for base in ("", sys.prefix))
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *map(str, npm)])
    found = shutil.which("restate-server", path=path)
    if found is None:
        return None
    program = Path(found).resolve()
    if program.suffix != ".js":
        return program
    # npm installs a script that starts the binary. A kill of the script would leave
    # the binary running, so we start that; its package is inside npm's, or beside it.
    package = program.parents[1]
    for scope in (package / "node_modules" / "@restatedev", package.parent):
        for binary in scope.glob("restate-server-*/bin/restate-server"):
            return binary
    return None


@asynccontextmanager
async def running_servers(nodes: Sequence[Node]) -> AsyncIterator[list[Popen[bytes]]]:
    """
    Run restate-servers until the block ends; they are ready when it begins.

    Raises:
        BackendUnavailableError: restate-server is not installed, or a server does
            not start.
    """
    program = find_program()
    if program is None:
        raise BackendUnavailableError(
            f"restate-server is not installed; run: npm install --global {_PACKAGE}"
        )
    async with AsyncExitStack() as stack:
        processes = [
            await stack.enter_async_context(_started(program, node)) for node in nodes
        ]
        for node, process in zip(nodes, processes, strict=True):
            await _wait_until_ready(node, process)
        yield processes


async def wait_until_exit(process: Popen[bytes]) -> None:
    """Wait until a process has exited."""
    while process.poll() is None:  # noqa: ASYNC110 - Popen has no event for it
        await anyio.sleep(0.1)


@asynccontextmanager
async def _started(program: Path, node: Node) -> AsyncIterator[Popen[bytes]]:
    process = _start(program, node)
    try:
        yield process
    finally:
        with anyio.CancelScope(shield=True):
            await _stop(process)


def _start(program: Path, node: Node) -> Popen[bytes]:
    """
    Start a server, without the event loop.

    A cancelled ``create_subprocess_exec`` of uvloop leaves a process running that
    we have no handle on.
    """
    try:
        node.directory.mkdir(parents=True, exist_ok=True)
        with node.log.open("ab") as log:
            return Popen(  # noqa: S603 - a program that `find_program` found
                [program],
                stdout=log,
                stderr=log,
                env=node.environment(),
                # Ctrl-C signals the whole session; the server has to outlive us, until
                # the service has stopped.
                start_new_session=True,
            )
    except OSError as error:
        raise BackendUnavailableError(
            f"cannot start {program} with its data in {node.directory} ({error})"
        ) from None


async def _wait_until_ready(node: Node, process: Popen[bytes]) -> None:
    for url in (f"{node.admin_url}/health", f"{node.ingress_url}/restate/health"):
        while not await is_healthy(url):
            if (code := process.poll()) is not None:
                raise BackendUnavailableError(
                    f"restate-server stopped with code {code}; {node.log} says why"
                )
            await anyio.sleep(0.1)


async def _stop(process: Popen[bytes]) -> None:
    process.terminate()
    with anyio.move_on_after(_STOP_SECONDS):
        await wait_until_exit(process)
        return
    process.kill()
    process.wait()
