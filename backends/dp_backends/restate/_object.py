"""
The virtual object ``promises``: one promise for each key.

Restate runs one exclusive handler of a key at a time, and makes durable as a
whole what it did to the key's state. That is the compare-and-set under which
`dp_core.transition` decides here.

The state of a key:

=============== ========================================================
``value``       what stands, as the wire answers it; absent while pending
``waiter/{id}`` one for each awakeable that waits
``listeners``   all awakeables in one array: how the reference's service
                keeps them; woken here, never written
=============== ========================================================

Name and form of ``value`` are the reference's, so that this service can take
over from it, on the same Restate, and back.

A waiter has a key of its own, so that the handler that adds one writes one:
in an array, the ten-thousandth waiter would rewrite ten thousand. For the
same reason that handler does not have the state sent to it beforehand. And
whoever completes a promise does not wait until ten thousand are told: it reads
their names once and deals them out to other invocations, and these to others,
until each has a hundred to tell. So every name is sent a few times, however
many there are.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from math import ceil
from typing import Final

import msgspec
from restate import ObjectContext, ObjectSharedContext, VirtualObject

from dp_backends.restate._calls import (
    AWAIT,
    FORGET,
    OBJECT,
    ONCE,
    PENDING,
    RAW,
    SETTINGS,
    WAKE,
    accept_nothing,
    terminal_errors,
)
from dp_core import Dispose, Pending, State, settle_command, transition
from dp_core.wire import (
    DISPOSED_MESSAGE,
    Peek,
    read_answer,
    read_settle,
    write_answer,
)

__all__ = ["promises"]

_VALUE: Final = "value"
_WAITER: Final = "waiter/"
_LISTENERS: Final = "listeners"

_AT_ONCE: Final = 100
"""How many waiters one invocation tells."""

_HELPERS: Final = 10
"""To how many others it deals them out when there are more."""

promises: Final = VirtualObject(
    OBJECT, description="Durable promises; a key is the id of one.", **SETTINGS
)


@promises.handler("resolve", input_serde=RAW, output_serde=RAW)
async def resolve(ctx: ObjectContext, body: bytes) -> bytes:
    """Complete the promise with the value that is the body."""
    if body.strip():
        return await _settle(ctx, "resolve", body)
    # Without a value it means null, but like the reference we keep it apart.
    return await _settle(ctx, "resolve", body, answer=b"{}")


@promises.handler("reject", input_serde=RAW, output_serde=RAW)
async def reject(ctx: ObjectContext, body: bytes) -> bytes:
    """Complete the promise with the error message that is the body."""
    return await _settle(ctx, "reject", body)


@promises.handler(
    "dispose", input_serde=RAW, output_serde=RAW, idempotency_retention=ONCE
)
async def dispose(ctx: ObjectContext, body: bytes) -> None:
    """Forget the promise, and tell those who wait for it."""
    stands, waiters = await _look(ctx)
    if isinstance(transition(_state(stands), Dispose()), Pending):
        ctx.clear_all()
        _tell(ctx, waiters, PENDING)


@promises.handler("peek", kind="shared", input_serde=RAW, output_serde=RAW)
async def peek(ctx: ObjectSharedContext, body: bytes) -> bytes:
    """Return what stands, without waiting for anybody."""
    stands = await ctx.get(_VALUE, RAW)
    return stands or PENDING


# The others are for handlers, which have awakeables. What is no awakeable would
# make every settle of the promise fail, so nobody else may bring one.


@promises.handler(
    AWAIT, input_serde=RAW, output_serde=RAW, state_preload=False, ingress_private=True
)
async def await_(ctx: ObjectContext, body: bytes) -> bytes:
    """Tell the awakeable that the body names what stands, once something does."""
    waiter = json.loads(body)
    stands = await ctx.get(_VALUE, RAW)
    if stands:
        ctx.resolve_awakeable(waiter, stands, RAW)
    else:
        ctx.set(_WAITER + waiter, b"true", RAW)
    return stands or PENDING


@promises.handler(
    FORGET, input_serde=RAW, output_serde=RAW, state_preload=False, ingress_private=True
)
async def forget(ctx: ObjectContext, body: bytes) -> None:
    """Forget the awakeable that the body names: nobody waits there any more."""
    ctx.clear(_WAITER + json.loads(body))


@promises.handler(
    WAKE,
    kind="shared",
    input_serde=RAW,
    output_serde=RAW,
    state_preload=False,
    ingress_private=True,
)
async def wake(ctx: ObjectSharedContext, body: bytes) -> None:
    """Tell the awakeables that the body names what stood."""
    waiters, stood = msgspec.json.decode(body, type=tuple[list[str], msgspec.Raw])
    _tell(ctx, waiters, bytes(stood))


async def _settle(
    ctx: ObjectContext, operation: str, body: bytes, answer: bytes | None = None
) -> bytes:
    with terminal_errors():
        call = read_settle(operation, ctx.key(), body)
    stands, waiters = await _look(ctx)
    before = _state(stands)
    after = transition(before, settle_command(call.outcome))
    if stands and after is before:
        return stands
    answer = answer or write_answer(after)
    if waiters:
        ctx.clear_all()
    ctx.set(_VALUE, answer, RAW)
    _tell(ctx, waiters, answer)
    return answer


async def _look(ctx: ObjectContext) -> tuple[bytes | None, list[str]]:
    """
    Return what stands, and the awakeables that wait.

    Most promises are settled before anybody has waited for them, so that the one
    step of asking for the keys says it all. Every step is a record in the log.
    """
    keys = await ctx.state_keys()
    stands = None
    if _VALUE in keys:
        stands = await ctx.get(_VALUE, RAW)
    waiters = [key.removeprefix(_WAITER) for key in keys if key.startswith(_WAITER)]
    if _LISTENERS in keys:
        listeners = await ctx.get(_LISTENERS, RAW)
        waiters += json.loads(listeners or b"[]")
    return stands, waiters


def _tell(
    ctx: ObjectContext | ObjectSharedContext, waiters: Sequence[str], stood: bytes
) -> None:
    """
    Tell all of them, here or in other invocations, what stood for the promise.

    It is said, not looked up: by the time they hear of it, the promise may have
    been disposed of. Where nothing stood, that is what has happened to it.
    """
    if len(waiters) > _AT_ONCE:
        helpers = min(_HELPERS, ceil(len(waiters) / _AT_ONCE))
        for n in range(helpers):
            names = json.dumps(waiters[n::helpers]).encode()
            ctx.generic_send(OBJECT, WAKE, b"[%b,%b]" % (names, stood), key=ctx.key())
        return
    for waiter in waiters:
        if stood == PENDING:
            ctx.reject_awakeable(waiter, DISPOSED_MESSAGE, 410)
        else:
            ctx.resolve_awakeable(waiter, stood, RAW)


def _state(stands: bytes | None) -> State[bytes]:
    return read_answer(Peek(""), 200, stands or PENDING)


accept_nothing(promises)
