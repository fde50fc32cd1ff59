"""
`wait_for_answer`: the wait of an invocation, by an awakeable.

An awakeable is Restate's durable future: the invocation may be suspended, or its
process killed, and goes on where it was once the awakeable is resolved.
"""

from __future__ import annotations

import json
from datetime import timedelta

from restate import Context, TerminalError, select

from dp_backends.restate._invocations import PENDING, RAW
from dp_backends.restate._names import AWAIT, FORGET, OBJECT
from dp_core.wire import DISPOSED_MESSAGE

__all__ = ["wait_for_answer"]


async def wait_for_answer(ctx: Context, id: str, seconds: float | None) -> bytes:
    """
    Wait until a promise is settled, as durable steps of an invocation.

    Args:
        ctx: The invocation that waits.
        id: The promise's id.
        seconds: The longest wait; None for as long as it takes.

    Returns:
        The outcome, as the wire answers it; `PENDING` after *seconds*.

    Raises:
        TerminalError: The promise was disposed of, with `DISPOSED_MESSAGE` as its
            message; or the invocation was cancelled.
    """
    awakeable, woken = ctx.awakeable(RAW)
    waiter = json.dumps(awakeable).encode()
    try:
        answer = await ctx.generic_call(OBJECT, AWAIT, waiter, key=id)
        if answer != PENDING:
            return answer
        if seconds is None:
            return await woken
        timeout = ctx.sleep(timedelta(seconds=seconds))
        match await select(woken=woken, timeout=timeout):
            case ["woken", bytes(answer)]:
                return answer
    except TerminalError as error:
        # A dispose has cleared the waiters already.
        if error.message != DISPOSED_MESSAGE:
            ctx.generic_send(OBJECT, FORGET, waiter, key=id)
        raise
    ctx.generic_send(OBJECT, FORGET, waiter, key=id)
    return PENDING
