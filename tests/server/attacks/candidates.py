"""
Another server around the app, for the attack suite.

``DP_ATTACKED=hypercorn pytest -m "" tests/server/attacks`` attacks Hypercorn in place
of ``dp serve``, ``uvicorn`` that one. Each is used as it is. Many tests fail, as
the table in docs/explanation/server.md lets expect.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys

from dp_core import connect
from dp_core.server import Settings, app

__all__: list[str] = []


async def run(name: str) -> None:
    """Serve promises in memory at a free port, and say which."""
    settings = Settings(token=os.environ.get("DP_TOKEN"))
    promises = app(connect("memory:").backend, settings)
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listener:
        print(f"Listening on http://127.0.0.1:{listener.getsockname()[1]}")  # noqa: T201 - what the caller waits for
        print("Store memory:", flush=True)  # noqa: T201 - whoever attacks reads it
        if name == "uvicorn":
            import uvicorn  # noqa: PLC0415 - one of two

            config = uvicorn.Config(promises, log_level="critical", lifespan="off")
            await uvicorn.Server(config).serve(sockets=[listener])
            return
        from hypercorn.asyncio import serve  # noqa: PLC0415 - the other one
        from hypercorn.config import Config  # noqa: PLC0415 - only this one needs it

        config = Config()
        config.bind, config.errorlog = [f"fd://{listener.fileno()}"], None
        await serve(promises, config)


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1]))
