"""
Waiters, added by `await_` and removed by `forget`.

Each has a key of its own in the state, so that to add one writes one: in an array, the
ten-thousandth waiter would rewrite ten thousand. For the same reason, Restate does not
send the state along when it calls these handlers.

They take awakeables, and are closed to requests from outside of Restate, as is the one
that wakes: text that does not name an awakeable would make every settle of the promise
fail.
"""

from __future__ import annotations

from restate import ObjectContext

from dp_backends.restate._awakeables import read_waiter
from dp_backends.restate._invocations import PENDING, RAW
from dp_backends.restate._names import AWAIT, FORGET
from dp_backends.restate._object._settling import settle
from dp_backends.restate._object._stored import WAITER, Stored
from dp_backends.restate._object._virtual_object import checked, promises

__all__ = ["await_", "forget"]


@promises.handler(
    AWAIT, input_serde=RAW, output_serde=RAW, state_preload=False, ingress_private=True
)
async def await_(ctx: ObjectContext, body: bytes) -> bytes:
    """Add the awakeable that the body names as a waiter; wake it if settled."""
    with checked(ctx):
        waiter = read_waiter(body)
        stored = await Stored.read(ctx)
        _ = stored.state
        over = await stored.expiry(ctx)
    answer = stored.value
    if over is not None:
        answer = await settle(ctx, over)
    if answer:
        ctx.resolve_awakeable(waiter, answer, RAW)
    else:
        ctx.set(WAITER + waiter, b"true", RAW)
    return answer or PENDING


@promises.handler(
    FORGET, input_serde=RAW, output_serde=RAW, state_preload=False, ingress_private=True
)
async def forget(ctx: ObjectContext, body: bytes) -> None:
    """Remove the waiter whose awakeable the body names."""
    with checked(ctx):
        waiter = read_waiter(body)
    ctx.clear(WAITER + waiter)
