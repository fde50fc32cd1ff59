"""Handlers that use durable promises: python handlers.py PORT ADMIN_URL."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import restate

import dp_core as dp
from dp_backends.restate import durable_promise, serve
from dp_core.backend import ForeignThreads

steps = restate.Service("steps")


def shown(state: dp.State[Any]) -> Any:
    """Return a state as JSON."""
    match state:
        case dp.Resolved(value):
            return {"value": value}
        case dp.Rejected(error):
            return {"error": error}
        case dp.Pending():
            return None


@steps.handler()
async def all_of_them(ctx: restate.Context, id: str) -> list[Any]:
    """Do each operation, and return all their results."""
    promise = durable_promise(id, ctx)
    return [
        shown(await promise.peek()),
        shown(await promise.resolve((1, "two"))),
        shown(await promise.reject("too late")),
        shown(await promise.peek()),
        await promise.get(),
        await promise.dispose(),
        shown(await promise.peek()),
        shown(await promise.reject("no")),
    ]


@steps.handler()
async def known(ctx: restate.Context, id: str) -> list[Any]:
    """Settle a promise by a name; return what is known before and afterwards."""
    promise = durable_promise(id, ctx)
    before = await promise.info()
    await promise.resolve("yes", by="alice")
    await promise.reject("no", by="bob")
    after = await promise.info()
    return [
        [shown(info.state), info.settled_by, dict(info.terms.tags)]
        for info in (before, after)
        if info.terms is not None
    ]


@steps.handler()
async def get(ctx: restate.Context, asked: dict[str, Any]) -> Any:
    """Wait for a promise, and catch nothing."""
    types = {"int": int, "any": Any}
    promise = durable_promise(asked["id"], ctx, types[asked.get("type", "any")])
    return await promise.get(asked.get("timeout"))


@steps.handler()
async def caught(ctx: restate.Context, asked: dict[str, Any]) -> str:
    """Wait for a promise, and return the name of the error."""
    try:
        await durable_promise(asked["id"], ctx).get(asked.get("timeout"))
    except dp.DurablePromiseError as error:
        return type(error).__name__
    return "none"


@steps.handler()
async def settle_and_wait(ctx: restate.Context, asked: dict[str, str]) -> Any:
    """Settle one promise, wait for another, return the first one's outcome."""
    outcome = await durable_promise(asked["settle"], ctx).resolve("mine")
    await durable_promise(asked["wait"], ctx)
    return shown(outcome)


@steps.handler()
async def pass_on(ctx: restate.Context, call: dict[str, Any]) -> list[Any]:
    """Call any handler with any body; return the status and what it answered."""
    body = bytes(call["body"])
    try:
        answer = await ctx.generic_call(*call["target"], body, key=call.get("key"))
    except restate.TerminalError as error:
        return [error.status_code, error.message]
    return [200, answer.decode()]


if __name__ == "__main__":
    threads = ForeignThreads()
    asyncio.run(serve([steps], port=int(sys.argv[1]), register=sys.argv[2]))
    # One that is left when the interpreter ends may abort the process.
    sys.exit(not asyncio.run(threads.wait_until_ended(0)))
