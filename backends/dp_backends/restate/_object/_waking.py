"""
`wake_all`: the waiters of a promise, woken with its outcome.

A settle does not wake ten thousand waiters itself. It reads their names once and
divides them among other invocations, which do the same: a tree with `_BRANCHES`
branches at each node, and at most `_WAKE_UPS` wake-ups at each leaf. So each name is
sent O(log n) times.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from math import ceil
from typing import Final

from restate import ObjectContext, ObjectSharedContext

from dp_backends.restate._awakeables import read_wake
from dp_backends.restate._invocations import PENDING, RAW
from dp_backends.restate._names import OBJECT, WAKE
from dp_backends.restate._object._virtual_object import checked, promises
from dp_core.wire import DISPOSED_MESSAGE

__all__ = ["wake_all"]

_WAKE_UPS: Final = 100
"""The most waiters that one invocation wakes by itself."""

_BRANCHES: Final = 10
"""The most invocations among which it divides more of them."""


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
    with checked(ctx):
        waiters, answer = read_wake(body)
    wake_all(ctx, waiters, answer)


def wake_all(
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
