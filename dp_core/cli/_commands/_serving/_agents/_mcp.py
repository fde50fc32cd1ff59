"""`mcp`: the command that gives an agent promises as tools."""

from __future__ import annotations

import signal

import anyio
import click

from dp_core._client import connect
from dp_core._terms import check_name
from dp_core.cli._commands._asking import say_if_alone
from dp_core.cli._commands._serving._options import needs_extra
from dp_core.cli._examples import examples
from dp_core.cli._input import url_option
from dp_core.cli._status import Status

__all__ = ["mcp"]


@click.command(
    epilog=examples(
        "dp mcp --url http://localhost:8080",
        "dp mcp --url sqlite:./promises.db --by research-agent",
    ),
)
@click.option(
    "--by",
    metavar="NAME",
    callback=lambda ctx, option, name: name and check_name(name, "NAME of --by"),
    help="Who settles what the agent settles, for the others to see.",
)
@url_option
def mcp(by: str | None, url: str | None) -> Status:
    """
    Give an agent promises as tools, on stdin and stdout.

    It speaks the Model Context Protocol. An agent's host starts it, as it is told to in
    its list of servers; typed by hand, it waits for messages of the protocol.
    """
    # An extra, and too large to load for the other commands.
    with needs_extra("tools for agents need", "mcp"):
        from dp_core.cli._commands._serving._agents._tools import (  # noqa: PLC0415
            agent_server,
        )

    async def run() -> None:
        async with connect(url) as promises:
            say_if_alone(promises.url)
            await agent_server(promises, by).run_stdio_async()

    # A thread reads stdin, and Python's own handler would wait for its next line. What
    # the store has acknowledged is safe, and nothing else is kept here.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    anyio.run(run)
    return Status.RESOLVED
