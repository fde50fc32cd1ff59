"""A restate-server of one's own: where its program is, and one that runs."""

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

__all__ = ["Node", "cluster", "ended", "find_program", "running"]

_PACKAGE: Final = "@restatedev/restate-server"
_GRACE: Final = 15
"""How long a server may take to stop, in seconds."""


@final
@dataclass(frozen=True, slots=True)
class Node:
    """
    Where a restate-server keeps its data, and where it listens on this machine.

    Attributes:
        directory: Made if it is not there.
        ingress: The port at which promises are asked for.
        admin: The port of its administration.
        fabric: The port for other nodes.
        cluster: That port of all nodes, in their order, where there are several.
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
        """Return the environment in which the program is this node."""
        environment = {
            **os.environ,
            "RESTATE_BASE_DIR": str(self.directory),
            # By default a node is named after its machine, and does not take
            # the data of another one.
            "RESTATE_NODE_NAME": "dp",
            # The default is to listen to every machine there is.
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
                # One makes the cluster, the others join it.
                "RESTATE_AUTO_PROVISION": "true" if first else "false",
                "RESTATE_METADATA_CLIENT__ADDRESSES": json.dumps(addresses),
                "RESTATE_ADVERTISED_ADDRESS": f"http://127.0.0.1:{self.fabric}",
                # What is acknowledged is on two disks: any one node may fail.
                "RESTATE_DEFAULT_REPLICATION": "2",
            }
        return environment


def cluster(number: int, first: Node) -> list[Node]:
    """Return so many nodes: below the directory of *first*, at ports from its on."""
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
    Return the restate-server of this machine, or None: the binary itself.

    It is looked for in ``PATH``, and where npm puts it: in the working
    directory, and in the environment of this Python (npm install --prefix).
    """
    npm = (Path(base, "node_modules", ".bin") for base in ("", sys.prefix))
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *map(str, npm)])
    found = shutil.which("restate-server", path=path)
    if found is None:
        return None
    program = Path(found).resolve()
    if program.suffix != ".js":
        return program
    # npm's is a script that starts the binary, which outlives it when it is
    # killed; the binary is in a package beside it, or in it.
    package = program.parents[1]
    for scope in (package / "node_modules" / "@restatedev", package.parent):
        for binary in scope.glob("restate-server-*/bin/restate-server"):
            return binary
    return None


@asynccontextmanager
async def running(nodes: Sequence[Node]) -> AsyncIterator[list[Popen[bytes]]]:
    """
    Run restate-servers until the block ends; they are ready when it begins.

    Raises:
        BackendUnavailableError: It is not installed, or one does not start.
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


async def ended(process: Popen[bytes]) -> None:
    """Return once a process is over."""
    while process.poll() is None:  # noqa: ASYNC110 - nothing tells us
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
    Start a server.

    Not by the event loop: where that is cancelled on the way (uvloop), the
    process is there, and nobody knows it.
    """
    node.directory.mkdir(parents=True, exist_ok=True)
    with node.log.open("ab") as log:
        return Popen(  # noqa: S603 - the program was looked for
            [program],
            stdout=log,
            stderr=log,
            env=node.environment(),
            # Ctrl-C is for us alone; we stop it when nobody needs it.
            start_new_session=True,
        )


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
    with anyio.move_on_after(_GRACE):
        await ended(process)
        return
    process.kill()
    process.wait()
