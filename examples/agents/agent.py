"""
An agent that asks a human, by the tools that ``dp mcp`` gives it.

``python agent.py ask`` asks, ``wait`` waits for the answer, in a later session if need
be, and ``cheat`` tries to answer in the human's place. ``servers.json`` is what the
host of an agent is told; the calls are those that a model makes.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from mcp import Client, StdioServerParameters
from mcp.types import TextContent

QUESTION = "ask-17"


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """Call a tool; return what it tells."""
    result = await client.call_tool(tool, arguments)
    for content in result.content:
        if result.is_error and isinstance(content, TextContent):
            print(content.text)
    return result.structured_content or {}


async def ask(client: Client) -> None:
    """Create the question, with all that the human needs to decide."""
    known = await call(
        client,
        "create_promise",
        id=QUESTION,
        deadline="3d",
        tags={"kind": "question"},
        data={"question": "Refund order 17?", "choices": ["refund", "decline"]},
    )
    print(known["promiseId"], "is", known["state"])


async def cheat(client: Client) -> None:
    """Answer it, which its token does not allow."""
    await call(client, "resolve_promise", id=QUESTION, value="refund")


async def wait(client: Client) -> None:
    """Wait for the answer."""
    known = await call(client, "wait_for_promise", id=QUESTION, seconds=600)
    print(known["value"], "by", known["settledBy"])


STEPS = {"ask": ask, "cheat": cheat, "wait": wait}


async def main(tools: StdioServerParameters, step: str) -> None:
    """Start the tools as a host does, and take one step."""
    async with Client(tools) as client:
        await STEPS[step](client)


servers = json.loads(Path("servers.json").read_text("utf-8"))["mcpServers"]
promises = StdioServerParameters(**servers["promises"])
promises.env = {**os.environ, **(promises.env or {})}
asyncio.run(main(promises, sys.argv[1]))
