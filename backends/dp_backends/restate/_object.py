"""
The virtual object ``promises``: one promise for each key.

Restate runs one exclusive handler of a key at a time, and stores all that it
changed in the key's state, or nothing. That is the compare-and-set under which
`dp_core.transition` decides here.

The state of a key:

=============== ========================================================
``value``       the outcome, as the wire answers it; absent while pending
``settled``     when and by whom, see `_stored`
``terms``       what it was created with, see `_stored`
``waiter/{id}`` one for each waiter; the id is that of its awakeable
``listeners``   the awakeables of all waiters in one array, as the
                reference's service keeps them; read here, never written
=============== ========================================================

Name and form of ``value`` are the reference's, so that either service can take
over from the other on the same Restate; it does not know the others.

A deadline is a delayed call of Restate's to the object, so that it settles the promise
with nobody there. Whoever comes after the deadline and before that call does the same.

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
from dataclasses import replace
from datetime import datetime, timedelta
from math import ceil
from typing import Final

from msgspec import Raw
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
    decoded,
    terminal_errors,
)
from dp_backends.restate._names import (
    AWAIT,
    EXPIRE,
    FORGET,
    INFO,
    OBJECT,
    SERVICE,
    SETTLE_BY,
    WAKE,
)
from dp_backends.restate._stored import (
    SETTLED,
    TERMS,
    VALUE,
    Stored,
    at_deadline_text,
    clock,
    created_text,
    how_far_ahead,
    read_key,
    read_settled,
    refuse_callbacks,
    settled_text,
)
from dp_core import (
    Outcome,
    Pending,
    ProtocolError,
    settle_command,
    transition,
)
from dp_core.backend import check_id, expiry
from dp_core.wire import (
    DISPOSED_MESSAGE,
    Settle,
    read_call,
    read_settle,
    read_terms,
    write_answer,
    write_info,
)

__all__ = ["promises"]

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
    # A missing value means null. The reference stores and answers it as {}.
    answer = None if body.strip() else b"{}"
    with _checked(ctx) as id:
        call = read_settle("resolve", id, body)
    return await _settle(ctx, call.outcome, answer)


@promises.handler("reject", input_serde=RAW, output_serde=RAW)
async def reject(ctx: ObjectContext, body: bytes) -> bytes:
    """Reject the promise with the error message that is the body."""
    with _checked(ctx) as id:
        call = read_settle("reject", id, body)
    return await _settle(ctx, call.outcome)


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
    with _checked(ctx):
        stored = await Stored.read(ctx)
        _ = stored.state
        if await stored.expiry(ctx) is None:
            return stored.value or PENDING
    return await ctx.generic_call(OBJECT, EXPIRE, b"", key=ctx.key())


@promises.handler("create", input_serde=RAW, output_serde=RAW)
async def create(ctx: ObjectContext, body: bytes) -> bytes:
    """Give the promise the terms that the body asks for, unless it has some."""
    with _checked(ctx) as id:
        asked = read_terms(body)
        refuse_callbacks(asked)
        created = await read_key(ctx, TERMS)
        if created is None:
            moment = await clock(ctx)
            terms = asked.given_at(moment)
            created = created_text(id, terms, moment)
            ctx.set(TERMS, created, RAW)
            if terms.deadline is not None:
                _call_at_deadline(ctx, terms.deadline, moment)
                if (over := expiry(terms, moment)) is not None:
                    # Nobody may come before its deadline.
                    await _settle(ctx, over)
    return await _info(ctx, created)


@promises.handler("info", kind="shared", input_serde=RAW, output_serde=RAW)
async def info(ctx: ObjectSharedContext, body: bytes) -> bytes:
    """Return all that is known about the promise."""
    with _checked(ctx):
        stored = await Stored.read(ctx)
        over = await stored.expiry(ctx) is not None
    if over:
        await ctx.generic_call(OBJECT, EXPIRE, b"", key=ctx.key())
        return await ctx.generic_call(OBJECT, INFO, b"", key=ctx.key())
    return await _info(ctx, await read_key(ctx, TERMS))


async def _info(
    ctx: ObjectContext | ObjectSharedContext, created: bytes | None
) -> bytes:
    with _checked(ctx) as id:
        stored = Stored(id, await read_key(ctx, VALUE), created)
        state, known = stored.state, stored.info
        if not isinstance(state, Pending):
            at, by, expired = read_settled(await read_key(ctx, SETTLED))
            known = replace(
                known, state=state, settled_at=at, settled_by=by, expired=expired
            )
        return write_info(known)


# The handlers below take awakeables, and are closed to requests from outside of
# Restate: text that does not name an awakeable would make every settle of the
# promise fail.


@promises.handler(
    AWAIT, input_serde=RAW, output_serde=RAW, state_preload=False, ingress_private=True
)
async def await_(ctx: ObjectContext, body: bytes) -> bytes:
    """Add the awakeable that the body names as a waiter; wake it if settled."""
    with _checked(ctx):
        waiter = read_waiter(body)
        stored = await Stored.read(ctx)
        _ = stored.state
        over = await stored.expiry(ctx)
    answer = stored.value
    if over is not None:
        answer = await _settle(ctx, over)
    if answer:
        ctx.resolve_awakeable(waiter, answer, RAW)
    else:
        ctx.set(_WAITER + waiter, b"true", RAW)
    return answer or PENDING


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


@promises.handler(SETTLE_BY, input_serde=RAW, output_serde=RAW, ingress_private=True)
async def settle_by(ctx: ObjectContext, body: bytes) -> bytes:
    """Settle the promise as a request to the service asks, which says by whom."""
    with _checked(ctx):
        operation = (
            "reject" if "errorMessage" in decoded(body, dict[str, Raw]) else "resolve"
        )
        call = read_call(f"/{SERVICE}/{operation}", body)
        if not isinstance(call, Settle):  # pragma: no cover - both operations are
            raise ProtocolError(400, "the body does not settle a promise")
    return await _settle(ctx, call.outcome)


@promises.handler(EXPIRE, input_serde=RAW, output_serde=RAW, ingress_private=True)
async def expire(ctx: ObjectContext, body: bytes) -> bytes:
    """Let the deadline of the promise settle it, if it is over; return its state."""
    with _checked(ctx):
        stored, _ = await _read(ctx)
        terms = stored.info.terms
        if stored.value or terms is None or terms.deadline is None:
            return stored.value or PENDING
        moment = await clock(ctx)
        over = expiry(terms, moment)
    if over is not None:
        return await _settle(ctx, over)
    ahead = how_far_ahead(body, terms.deadline, moment)
    if ahead is not None:
        _call_at_deadline(ctx, terms.deadline, moment, ahead)
    return PENDING


def _call_at_deadline(
    ctx: ObjectContext,
    deadline: datetime,
    now: datetime,
    ahead: timedelta = timedelta(),
) -> None:
    """
    Let Restate call the object at a deadline.

    Args:
        ctx: The exclusive invocation of the promise's object.
        deadline: The deadline.
        now: The time by our clock.
        ahead: By how much Restate's clock is ahead of ours, as far as we know.
    """
    # The SDK adds the delay to the time by our clock, and cuts it to milliseconds.
    delay = max(deadline + ahead - now, timedelta()) + timedelta(milliseconds=1)
    body = at_deadline_text(deadline, now, ahead)
    ctx.generic_send(OBJECT, EXPIRE, body, key=ctx.key(), send_delay=delay)


async def _settle(
    ctx: ObjectContext, outcome: Outcome[bytes], answer: bytes | None = None
) -> bytes:
    """
    Settle the promise unless it is, or its deadline is over; return its outcome.

    Args:
        ctx: The exclusive invocation of the promise's object.
        outcome: The outcome.
        answer: How the wire answers it, where that is not its usual form.
    """
    with _checked(ctx):
        stored, waiters = await _read(ctx)
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
    _wake_all(ctx, waiters, answer)
    return answer


async def _read(ctx: ObjectContext) -> tuple[Stored, list[str]]:
    """
    Return what is stored of the promise, and the awakeables of the waiters.

    Each step is a record in the log. Most promises are settled before anybody
    waits for them, and then the first step, which reads the keys, is the only one.
    """
    keys = await ctx.state_keys()
    value = await read_key(ctx, VALUE) if VALUE in keys else None
    created = await read_key(ctx, TERMS) if TERMS in keys and not value else None
    waiters = [key.removeprefix(_WAITER) for key in keys if key.startswith(_WAITER)]
    if _LISTENERS in keys:
        listeners = await ctx.get(_LISTENERS, RAW)
        waiters += read_names(listeners or b"[]")
    awakeables = only_awakeables(waiters)
    # Older versions kept whatever they were given as the name of a waiter.
    for name in set(waiters).difference(awakeables):
        ctx.clear(_WAITER + name)
    return Stored(ctx.key(), value, created), awakeables


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


accept_empty_bodies(promises)
