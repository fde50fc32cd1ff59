"""`tell_info`: peek and info, which change nothing."""

from __future__ import annotations

from dataclasses import replace

from restate import ObjectContext, ObjectSharedContext

from dp_backends.restate._invocations import PENDING, RAW
from dp_backends.restate._names import EXPIRE, INFO, OBJECT
from dp_backends.restate._object._stored import (
    SETTLED,
    TERMS,
    VALUE,
    Stored,
    read_key,
    read_settled,
)
from dp_backends.restate._object._virtual_object import checked, promises
from dp_core import Pending
from dp_core.wire import write_info

__all__ = ["tell_info"]


@promises.handler("peek", kind="shared", input_serde=RAW, output_serde=RAW)
async def peek(ctx: ObjectSharedContext, body: bytes) -> bytes:
    """Return the promise's state, without waiting for other handlers."""
    with checked(ctx):
        stored = await Stored.read(ctx)
        _ = stored.state
        if await stored.expiry(ctx) is None:
            return stored.value or PENDING
    return await ctx.generic_call(OBJECT, EXPIRE, b"", key=ctx.key())


@promises.handler("info", kind="shared", input_serde=RAW, output_serde=RAW)
async def info(ctx: ObjectSharedContext, body: bytes) -> bytes:
    """Return all that is known about the promise."""
    with checked(ctx):
        stored = await Stored.read(ctx)
        over = await stored.expiry(ctx) is not None
    if over:
        await ctx.generic_call(OBJECT, EXPIRE, b"", key=ctx.key())
        return await ctx.generic_call(OBJECT, INFO, b"", key=ctx.key())
    return await tell_info(ctx, await read_key(ctx, TERMS))


async def tell_info(
    ctx: ObjectContext | ObjectSharedContext, created: bytes | None
) -> bytes:
    """Return all that is known about a promise, created as *created* says."""
    with checked(ctx) as id:
        stored = Stored(id, await read_key(ctx, VALUE), created)
        state, known = stored.state, stored.info
        if not isinstance(state, Pending):
            at, by, expired = read_settled(await read_key(ctx, SETTLED))
            known = replace(
                known, state=state, settled_at=at, settled_by=by, expired=expired
            )
        return write_info(known)
