"""
The virtual object ``promises``: one promise for each key.

Restate runs one exclusive handler of a key at a time, and stores all that it
changed in the key's state, or nothing. That is the compare-and-set under which
`dp_core.transition` decides here.

The state of a key:

=============== ========================================================
``value``       the outcome, as the wire answers it; absent while pending
``waiter/{id}`` one for each waiter; the id is that of its awakeable
``listeners``   the awakeables of all waiters in one array, as the
                reference's service keeps them; read here, never written
=============== ========================================================

Name and form of ``value`` are the reference's, so that either service can take
over from the other on the same Restate.

Each waiter has a key of its own, so that to add one writes one: in an array, the
ten-thousandth waiter would rewrite ten thousand. For the same reason, Restate does
not send the state along when it calls the handler that adds a waiter.

A settle does not wake ten thousand waiters itself. It reads their names once and
divides them among other invocations, which do the same: a tree with `_BRANCHES`
branches at each node, and at most `_WAKE_UPS` wake-ups at each leaf. So each name is
sent O(log n) times.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import ceil
from typing import Final

from restate import ObjectContext, ObjectSharedContext, VirtualObject

from dp_backends.restate._awakeables import (
    only_awakeables,
    read_names,
    read_waiter,
    read_wake,
)
from dp_backends.restate._invocations import (
    DISPOSE_RETENTION,
    PENDING,
    RAW,
    SETTINGS,
    accept_empty_bodies,
    terminal_errors,
)
from dp_backends.restate._names import AWAIT, FORGET, OBJECT, WAKE
from dp_core import (
    CorruptPromiseError,
    ProtocolError,
    State,
    settle_command,
    transition,
)
from dp_core.backend import check_id, quoted
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

_WAKE_UPS: Final = 100
"""The most waiters that one invocation wakes by itself."""

_BRANCHES: Final = 10
"""The most invocations among which it divides more of them."""

promises: Final = VirtualObject(
    OBJECT, description="Durable promises; a key is the id of one.", **SETTINGS
)


@contextmanager
def _checked(ctx: ObjectContext | ObjectSharedContext) -> Iterator[str]:
    """Give the id that the key is; our errors, of the id too, are terminal."""
    with terminal_errors():
        check_id(ctx.key())
        yield ctx.key()


@promises.handler("resolve", input_serde=RAW, output_serde=RAW)
async def resolve(ctx: ObjectContext, body: bytes) -> bytes:
    """Resolve the promise with the value that is the body."""
    if body.strip():
        return await _settle(ctx, "resolve", body)
    # A missing value means null. The reference stores and answers it as {}.
    return await _settle(ctx, "resolve", body, answer=b"{}")


@promises.handler("reject", input_serde=RAW, output_serde=RAW)
async def reject(ctx: ObjectContext, body: bytes) -> bytes:
    """Reject the promise with the error message that is the body."""
    return await _settle(ctx, "reject", body)


@promises.handler(
    "dispose",
    input_serde=RAW,
    output_serde=RAW,
    idempotency_retention=DISPOSE_RETENTION,
)
async def dispose(ctx: ObjectContext, body: bytes) -> None:
    """Forget the promise, and wake its waiters with an error."""
    with _checked(ctx):
        # Pending comes after every state, also after one that cannot be read.
        _, waiters = await _read(ctx)
    ctx.clear_all()
    _wake_all(ctx, waiters, PENDING)


@promises.handler("peek", kind="shared", input_serde=RAW, output_serde=RAW)
async def peek(ctx: ObjectSharedContext, body: bytes) -> bytes:
    """Return the promise's state, without waiting for other handlers."""
    with _checked(ctx) as id:
        stored = await ctx.get(_VALUE, RAW)
        _state(id, stored)
    return stored or PENDING


# The handlers below take awakeables, and are closed to requests from outside of
# Restate: text that does not name an awakeable would make every settle of the
# promise fail.


@promises.handler(
    AWAIT, input_serde=RAW, output_serde=RAW, state_preload=False, ingress_private=True
)
async def await_(ctx: ObjectContext, body: bytes) -> bytes:
    """Add the awakeable that the body names as a waiter; wake it if settled."""
    with _checked(ctx) as id:
        waiter = read_waiter(body)
        stored = await ctx.get(_VALUE, RAW)
        _state(id, stored)
    if stored:
        ctx.resolve_awakeable(waiter, stored, RAW)
    else:
        ctx.set(_WAITER + waiter, b"true", RAW)
    return stored or PENDING


@promises.handler(
    FORGET, input_serde=RAW, output_serde=RAW, state_preload=False, ingress_private=True
)
async def forget(ctx: ObjectContext, body: bytes) -> None:
    """Remove the waiter whose awakeable the body names."""
    with _checked(ctx):
        waiter = read_waiter(body)
    ctx.clear(_WAITER + waiter)


@promises.handler(
    WAKE,
    kind="shared",
    input_serde=RAW,
    output_serde=RAW,
    state_preload=False,
    ingress_private=True,
)
async def wake(ctx: ObjectSharedContext, body: bytes) -> None:
    """Wake the waiters that the body names, with the answer beside their names."""
    with _checked(ctx):
        waiters, answer = read_wake(body)
    _wake_all(ctx, waiters, answer)


async def _settle(
    ctx: ObjectContext, operation: str, body: bytes, answer: bytes | None = None
) -> bytes:
    with _checked(ctx) as id:
        call = read_settle(operation, id, body)
        stored, waiters = await _read(ctx)
        before = _state(id, stored)
    after = transition(before, settle_command(call.outcome))
    if stored and after is before:
        return stored
    answer = answer or write_answer(after)
    if waiters:
        ctx.clear_all()
    ctx.set(_VALUE, answer, RAW)
    _wake_all(ctx, waiters, answer)
    return answer


async def _read(ctx: ObjectContext) -> tuple[bytes | None, list[str]]:
    """
    Return the stored outcome, if any, and the awakeables of the waiters.

    Each step is a record in the log. Most promises are settled before anybody
    waits for them, and then the first step, which reads the keys, is the only one.
    """
    keys = await ctx.state_keys()
    stored = None
    if _VALUE in keys:
        stored = await ctx.get(_VALUE, RAW)
    waiters = [key.removeprefix(_WAITER) for key in keys if key.startswith(_WAITER)]
    if _LISTENERS in keys:
        listeners = await ctx.get(_LISTENERS, RAW)
        waiters += read_names(listeners or b"[]")
    awakeables = only_awakeables(waiters)
    # Older versions kept whatever they were given as the name of a waiter.
    for name in set(waiters).difference(awakeables):
        ctx.clear(_WAITER + name)
    return stored, awakeables


def _wake_all(
    ctx: ObjectContext | ObjectSharedContext, waiters: Sequence[str], answer: bytes
) -> None:
    """
    Wake waiters, here or in other invocations.

    Args:
        ctx: The invocation of the promise's object.
        waiters: Their awakeables.
        answer: The outcome to wake them with; `PENDING` where the promise was
            disposed of. It is passed on, because a later invocation would read
            the state of a later generation.
    """
    if len(waiters) > _WAKE_UPS:
        branches = min(_BRANCHES, ceil(len(waiters) / _WAKE_UPS))
        for n in range(branches):
            names = json.dumps(waiters[n::branches]).encode()
            ctx.generic_send(OBJECT, WAKE, b"[%b,%b]" % (names, answer), key=ctx.key())
        return
    for waiter in waiters:
        if answer == PENDING:
            ctx.reject_awakeable(waiter, DISPOSED_MESSAGE, 410)
        else:
            ctx.resolve_awakeable(waiter, answer, RAW)


def _state(id: str, stored: bytes | None) -> State[bytes]:
    try:
        return read_answer(Peek(id), 200, stored or PENDING)
    except ProtocolError as error:
        raise CorruptPromiseError(
            f"what Restate keeps of promise {quoted(id)} is damaged ({error.reason}); "
            "dispose of it"
        ) from None


accept_empty_bodies(promises)
