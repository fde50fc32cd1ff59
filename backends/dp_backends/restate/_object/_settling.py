"""`settle`, for every settler; resolve, reject, and dispose."""

from __future__ import annotations

from msgspec import Raw
from restate import ObjectContext

from dp_backends.restate._invocations import DISPOSE_RETENTION, PENDING, RAW, decoded
from dp_backends.restate._names import SERVICE, SETTLE_BY
from dp_backends.restate._object._stored import (
    SETTLED,
    TERMS,
    VALUE,
    clock,
    read_all,
    settled_text,
)
from dp_backends.restate._object._virtual_object import checked, promises
from dp_backends.restate._object._waking import wake_all
from dp_core import Outcome, ProtocolError, settle_command, transition
from dp_core.backend import expiry
from dp_core.wire import Settle, read_call, read_settle, write_answer

__all__ = ["settle"]


@promises.handler("resolve", input_serde=RAW, output_serde=RAW)
async def resolve(ctx: ObjectContext, body: bytes) -> bytes:
    """Resolve the promise with the value that is the body."""
    # A missing value means null. The reference stores and answers it as {}.
    answer = None if body.strip() else b"{}"
    with checked(ctx) as id:
        call = read_settle("resolve", id, body)
    return await settle(ctx, call.outcome, answer)


@promises.handler("reject", input_serde=RAW, output_serde=RAW)
async def reject(ctx: ObjectContext, body: bytes) -> bytes:
    """Reject the promise with the error message that is the body."""
    with checked(ctx) as id:
        call = read_settle("reject", id, body)
    return await settle(ctx, call.outcome)


@promises.handler(SETTLE_BY, input_serde=RAW, output_serde=RAW, ingress_private=True)
async def settle_by(ctx: ObjectContext, body: bytes) -> bytes:
    """Settle the promise as a request to the service asks, which says by whom."""
    with checked(ctx):
        operation = (
            "reject" if "errorMessage" in decoded(body, dict[str, Raw]) else "resolve"
        )
        call = read_call(f"/{SERVICE}/{operation}", body)
        if not isinstance(call, Settle):  # pragma: no cover - both operations are
            raise ProtocolError(400, "the body does not settle a promise")
    return await settle(ctx, call.outcome)


@promises.handler(
    "dispose",
    input_serde=RAW,
    output_serde=RAW,
    idempotency_retention=DISPOSE_RETENTION,
)
async def dispose(ctx: ObjectContext, body: bytes) -> None:
    """Forget the promise, and wake its waiters with an error."""
    with checked(ctx):
        # Pending comes after every state, also after one that cannot be read.
        _, waiters = await read_all(ctx)
    ctx.clear_all()
    wake_all(ctx, waiters, PENDING)


async def settle(
    ctx: ObjectContext, outcome: Outcome[bytes], answer: bytes | None = None
) -> bytes:
    """
    Settle the promise unless it is, or its deadline is over; return its outcome.

    Args:
        ctx: The exclusive invocation of the promise's object.
        outcome: The outcome.
        answer: How the wire answers it, where that is not its usual form.
    """
    with checked(ctx):
        stored, waiters = await read_all(ctx)
        before = stored.state
        if stored.value:
            return stored.value
        moment = await clock(ctx)
        over = expiry(stored.info.terms, moment)
    if over is not None:
        outcome, answer = over, None
    after = transition(before, settle_command(outcome))
    answer = answer or write_answer(after)
    if waiters:
        ctx.clear_all()
        if stored.created:
            ctx.set(TERMS, stored.created, RAW)
    ctx.set(VALUE, answer, RAW)
    ctx.set(SETTLED, settled_text(outcome, moment, expired=over is not None), RAW)
    wake_all(ctx, waiters, answer)
    return answer
