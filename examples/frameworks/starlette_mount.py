"""
The promises of an app, below /promises of the app, for other programs and machines.

    DP_TOKEN=... PORT=8000 python starlette_mount.py
    DP_TOKEN=... dp get order-17 --url http://localhost:8000/promises
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

import dp_core as dp
from dp_core.server import Settings
from dp_core.server import app as serving

promises = dp.connect("file:./promises")
hosts = tuple(os.environ.get("ALLOWED_HOSTS", "").split())  # the names of this server
settings = Settings(token=os.environ["DP_TOKEN"], allowed_hosts=hosts)
service = serving(promises.backend, settings)


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    async with promises, anyio.create_task_group() as tasks:
        tasks.start_soon(service.sweep)  # deadlines settle though nobody asks
        yield
        tasks.cancel_scope.cancel()


async def pending(request: Request) -> Response:
    return JSONResponse([info.id async for info in promises.list(state="pending")])


routes = [Route("/", pending), Mount("/promises", service)]
app = Starlette(lifespan=lifespan, routes=routes)


class Server(uvicorn.Server):
    def handle_exit(self, *signal: Any) -> None:
        # uvicorn lets requests finish; those that wait are told to ask again.
        asyncio.get_running_loop().call_soon_threadsafe(service.stop)
        super().handle_exit(*signal)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        Server(uvicorn.Config(app, port=int(os.environ.get("PORT", "8000")))).run()
