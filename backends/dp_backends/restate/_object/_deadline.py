"""
`call_at_deadline`: a delayed call of Restate's by which a deadline settles a promise.

It needs nobody there. Whoever comes after the deadline and before that call does the
same.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Final

from restate import ObjectContext

from dp_backends.restate._invocations import PENDING, RAW
from dp_backends.restate._names import EXPIRE, OBJECT
from dp_backends.restate._object._settling import settle
from dp_backends.restate._object._stored import clock, read_all
from dp_backends.restate._object._virtual_object import checked, promises
from dp_core import DurablePromiseError
from dp_core.backend import expiry
from dp_core.wire import read_moment, write_moment

__all__ = ["at_deadline_text", "call_at_deadline", "how_far_ahead"]


@promises.handler(EXPIRE, input_serde=RAW, output_serde=RAW, ingress_private=True)
async def expire(ctx: ObjectContext, body: bytes) -> bytes:
    """Let the deadline of the promise settle it, if it is over; return its state."""
    with checked(ctx):
        stored, _ = await read_all(ctx)
        terms = stored.info.terms
        if stored.value or terms is None or terms.deadline is None:
            return stored.value or PENDING
        moment = await clock(ctx)
        over = expiry(terms, moment)
    if over is not None:
        return await settle(ctx, over)
    ahead = how_far_ahead(body, terms.deadline, moment)
    if ahead is not None:
        call_at_deadline(ctx, terms.deadline, moment, ahead)
    return PENDING


def call_at_deadline(
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


def at_deadline_text(deadline: datetime, now: datetime, ahead: timedelta) -> bytes:
    """Return the body of the call that Restate is asked to make at a deadline."""
    sent, ms = write_moment(now), timedelta(milliseconds=1)
    return json.dumps([write_moment(deadline), sent, ahead / ms]).encode()


def how_far_ahead(
    body: bytes, deadline: datetime, moment: datetime
) -> timedelta | None:
    """
    Return by how much Restate's clock must be ahead of ours; at least 0.

    A call that comes before its deadline shows it. Without an answer to that, it would
    come again and again until the clocks have met.

    Args:
        body: What the call brought, see `at_deadline_text`.
        deadline: The deadline of the promise.
        moment: When the call came, by our clock.

    Returns:
        None for a call that was made for another deadline, of a former generation, or
        by a stranger.
    """
    try:
        named, sent_text, ms = json.loads(body)
        sent, before = read_moment(sent_text), timedelta(milliseconds=ms)
        if read_moment(named) != deadline:
            return None
    except (ValueError, TypeError, OverflowError, DurablePromiseError):
        return None
    ahead = max(deadline + before - moment, timedelta())
    # A call that comes at once was due before it was made: it is at least that much.
    return ahead if moment - sent > _AT_ONCE else ahead * _MORE


_AT_ONCE: Final = timedelta(seconds=1)

_MORE: Final = 1.05
"""Part by which to be called later than need be, so that few calls are too early."""
