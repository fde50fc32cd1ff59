"""``dp mcp`` as an agent's host starts it, and the protocol's own client."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal

from mcp import Client, StdioServerParameters
from mcp.client import ClientExtension
from mcp.types import TextContent

from support.core.program import PROGRAM

__all__ = ["agent", "told"]


@asynccontextmanager
async def agent(
    url: str,
    *options: str,
    extensions: Sequence[ClientExtension] = (),
    mode: Literal["auto", "legacy"] = "auto",
) -> AsyncIterator[Client]:
    """Start ``dp mcp`` and speak to it, as an agent's host does."""
    command, *arguments = [*PROGRAM, "mcp", "--url", url, *options]
    env = {key: text for key, text in os.environ.items() if not key.startswith("DP_")}
    server = StdioServerParameters(command=command, args=arguments, env=env)
    async with Client(server, extensions=extensions, mode=mode) as client:
        yield client


async def told(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """Call a tool; return what it tells."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    # The text is for models that read no structures.
    (text,) = result.content
    assert isinstance(text, TextContent)
    structured: dict[str, Any] = json.loads(text.text)
    assert structured == result.structured_content
    return structured
