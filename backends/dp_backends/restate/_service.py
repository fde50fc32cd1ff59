"""
The service ``promise``: the operations of the object, with the id in the body.

Processes outside of Restate call it, and it passes their calls on. Only its
``await`` does more. Restate does not notice when a client has gone, so each wait
must have an end: ``Prefer: wait=SECONDS`` (RFC 7240) sets it, and the answer
``null`` then says that the promise is still pending. A client that sets none, as
those of the reference, waits for `LONGEST_WAIT` at most, and then gets an error
that says to ask again.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import msgspec
from restate import Context, Service, TerminalError

from dp_backends.restate._awakeables import wait_for_answer
from dp_backends.restate._invocations import (
    DISPOSE_RETENTION,
    PENDING,
    RAW,
    SETTINGS,
    accept_empty_bodies,
    terminal_errors,
)
from dp_backends.restate._names import AWAIT, INFO, OBJECT, SERVICE, SETTLE_BY
from dp_backends.restate._object import promises
from dp_core import Resolved
from dp_core.wire import (
    Call,
    Create,
    Settle,
    read_call,
    read_prefer,
    write_asked,
    write_settle,
)

__all__ = ["LONGEST_WAIT", "SERVICES", "promise"]

LONGEST_WAIT: Final = 3600
"""The longest wait, in seconds; afterwards nothing is kept of a waiter."""

_INACTIVITY: Final = timedelta(seconds=10)
_AWAKE: Final = 5.0
"""Seconds for which a wait surely is not suspended."""

promise: Final = Service(
    SERVICE, description="Durable promises; their ids are in the bodies.", **SETTINGS
)

SERVICES: Final = (promises, promise)
"""Everything to host, with `serve` or with ``restate.app``."""


@promise.handler("resolve", input_serde=RAW, output_serde=RAW)
async def resolve(ctx: Context, body: bytes) -> bytes:
    """Resolve a promise with ``value``."""
    return await _pass_on(ctx, "resolve", body)


@promise.handler("reject", input_serde=RAW, output_serde=RAW)
async def reject(ctx: Context, body: bytes) -> bytes:
    """Reject a promise with the error message ``errorMessage``."""
    return await _pass_on(ctx, "reject", body)


@promise.handler("peek", input_serde=RAW, output_serde=RAW)
async def peek(ctx: Context, body: bytes) -> bytes:
    """Return a promise's state, without waiting for other handlers."""
    return await _pass_on(ctx, "peek", body)


@promise.handler("create", input_serde=RAW, output_serde=RAW)
async def create(ctx: Context, body: bytes) -> bytes:
    """Give a promise its terms, unless it has some."""
    return await _pass_on(ctx, "create", body)


@promise.handler(INFO, input_serde=RAW, output_serde=RAW)
async def info(ctx: Context, body: bytes) -> bytes:
    """Return all that is known about a promise."""
    return await _pass_on(ctx, INFO, body)


@promise.handler(
    "dispose",
    input_serde=RAW,
    output_serde=RAW,
    idempotency_retention=DISPOSE_RETENTION,
)
async def dispose(ctx: Context, body: bytes) -> None:
    """Forget a promise, and wake its waiters with an error."""
    await _pass_on(ctx, "dispose", body)


@promise.handler(
    AWAIT,
    input_serde=RAW,
    output_serde=RAW,
    # After that, Restate closes the stream of a wait, which then costs this
    # process nothing; while the stream is open, waking is a little faster.
    inactivity_timeout=_INACTIVITY,
)
async def await_(ctx: Context, body: bytes) -> bytes:
    """Return a promise's outcome, once it is settled."""
    with terminal_errors():
        call = read_call(f"/{SERVICE}/{AWAIT}", body)
    preferred = read_prefer(ctx.request().headers.get("prefer", ""))
    seconds = LONGEST_WAIT if preferred is None else min(preferred, LONGEST_WAIT)
    answer = await wait_for_answer(ctx, call.id, seconds, _AWAKE)
    if answer == PENDING and preferred is None:
        raise TerminalError("the promise is still pending; ask again", 504)
    return answer


async def _pass_on(ctx: Context, operation: str, body: bytes) -> bytes:
    with terminal_errors():
        call = read_call(f"/{SERVICE}/{operation}", body)
    if isinstance(call, Settle) and call.outcome.by is not None:
        return await ctx.generic_call(OBJECT, SETTLE_BY, body, call.id)
    return await ctx.generic_call(OBJECT, operation, _argument(call, body), call.id)


def _argument(call: Call, body: bytes) -> bytes:
    """Return the body of the call to the object, whose key is the id."""
    match call:
        case Settle(_, Resolved(b"null")) if "value" not in _members(body):
            # The object stores a missing value otherwise than null.
            return b""
        case Settle(_, outcome):
            return write_settle(outcome)[1]
        case Create(_, terms):
            return write_asked(terms)
        case _:
            return b""


def _members(body: bytes) -> dict[str, msgspec.Raw]:
    # Raw, because members that the wire does not define may be anything.
    return msgspec.json.decode(body, type=dict[str, msgspec.Raw])


accept_empty_bodies(promise)
