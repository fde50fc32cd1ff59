"""
The service ``promise``: the same operations, with the id in the body.

It is how processes outside of Restate ask, and it passes on what they ask.
Only its ``await`` is more. Restate does not notice that whoever asked has gone
away, so every wait must have an end: ``Prefer: wait=SECONDS`` (RFC 7240) sets
it, and ``null`` then says that the promise is still pending. Who sets none,
like the clients of the reference, waits for `LONGEST_WAIT` at most, and is told
by an error to ask again.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import msgspec
from restate import Context, Service, TerminalError

from dp_backends.restate._calls import (
    AWAIT,
    OBJECT,
    ONCE,
    PENDING,
    RAW,
    SERVICE,
    SETTINGS,
    accept_nothing,
    terminal_errors,
    wait,
)
from dp_core import Resolved
from dp_core.wire import Call, Settle, read_call, read_prefer, write_settle

__all__ = ["LONGEST_WAIT", "promise"]

LONGEST_WAIT: Final = 3600
"""How long anybody may wait, in seconds; then nothing of a waiter is left."""

promise: Final = Service(
    SERVICE, description="Durable promises; their ids are in the bodies.", **SETTINGS
)


@promise.handler("resolve", input_serde=RAW, output_serde=RAW)
async def resolve(ctx: Context, body: bytes) -> bytes:
    """Complete a promise with ``value``."""
    return await _pass_on(ctx, "resolve", body)


@promise.handler("reject", input_serde=RAW, output_serde=RAW)
async def reject(ctx: Context, body: bytes) -> bytes:
    """Complete a promise with the error message ``errorMessage``."""
    return await _pass_on(ctx, "reject", body)


@promise.handler("peek", input_serde=RAW, output_serde=RAW)
async def peek(ctx: Context, body: bytes) -> bytes:
    """Return what stands, without waiting for anybody."""
    return await _pass_on(ctx, "peek", body)


@promise.handler(
    "dispose", input_serde=RAW, output_serde=RAW, idempotency_retention=ONCE
)
async def dispose(ctx: Context, body: bytes) -> None:
    """Forget a promise, and tell those who wait for it."""
    await _pass_on(ctx, "dispose", body)


@promise.handler(
    AWAIT,
    input_serde=RAW,
    output_serde=RAW,
    # Without a stream that is held open for it, a wait costs this process
    # nothing; at first it stays connected, which wakes it a little sooner.
    inactivity_timeout=timedelta(seconds=10),
)
async def await_(ctx: Context, body: bytes) -> bytes:
    """Return what a promise settled to, once it has."""
    with terminal_errors():
        call = read_call(f"/{SERVICE}/{AWAIT}", body)
    asked = read_prefer(ctx.request().headers.get("prefer", ""))
    seconds = LONGEST_WAIT if asked is None else min(asked, LONGEST_WAIT)
    stands = await wait(ctx, call.id, seconds)
    if stands == PENDING and asked is None:
        raise TerminalError("the promise is still pending; ask again", 504)
    return stands


async def _pass_on(ctx: Context, operation: str, body: bytes) -> bytes:
    with terminal_errors():
        call = read_call(f"/{SERVICE}/{operation}", body)
    return await ctx.generic_call(OBJECT, operation, _argument(call, body), call.id)


def _argument(call: Call, body: bytes) -> bytes:
    """Return what the object wants to be told, beyond the id."""
    match call:
        case Settle(_, Resolved(b"null")) if "value" not in _members(body):
            return b""
        case Settle(_, outcome):
            return write_settle(outcome)[1]
        case _:
            return b""


def _members(body: bytes) -> dict[str, msgspec.Raw]:
    # Not decoded: what else is in a body is nobody's business.
    return msgspec.json.decode(body, type=dict[str, msgspec.Raw])


accept_nothing(promise)
