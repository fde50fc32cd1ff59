"""
Awakeables: `wait_for_answer`, and `read_waiter` and `read_wake` of their names.

An awakeable is Restate's durable future: the invocation may be suspended, or its
process killed, and goes on where it was once the awakeable is resolved.

Names come from other services, too. Restate retries for ever what resolves an
awakeable whose name it cannot decode, and meanwhile runs nothing else for that
promise. So a name is checked before it is kept, and before it is used.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Iterable
from datetime import timedelta
from typing import Final

import msgspec
from restate import (
    Context,
    RestateDurableFuture,
    RunOptions,
    TerminalError,
    select,
)

from dp_backends.restate._invocations import PENDING, RAW, decoded
from dp_backends.restate._names import AWAIT, FORGET, OBJECT
from dp_core import ProtocolError
from dp_core.wire import DISPOSED_MESSAGE, Peek, read_answer

__all__ = [
    "only_awakeables",
    "read_names",
    "read_waiter",
    "read_wake",
    "wait_for_answer",
]

# Kind and version, then 28 bytes in base64url (RFC 4648 §5): the id of an
# invocation and a number. The last character holds two bits of them, and zeros.
# SDKs name awakeables "sign" since the service protocol 4, and "prom" before.
_AWAKEABLE: Final = re.compile(r"(?:sign|prom)_1[A-Za-z0-9_-]{37}[AQgw]")

_IN_TIME: Final = 0.1
"""Seconds by which a wait may end too early."""


def read_waiter(body: bytes) -> str:
    """
    Return the awakeable that a body names.

    Raises:
        ProtocolError: The body does not name one (400).
    """
    name: str = decoded(body, str)
    if not _AWAKEABLE.fullmatch(name):
        raise ProtocolError(400, "the body does not name an awakeable")
    return name


def read_names(body: bytes) -> list[str]:
    """Return the strings of a JSON array; none if it is not an array of them."""
    try:
        return list(decoded(body, list[str]))
    except ProtocolError:
        return []


def read_wake(body: bytes) -> tuple[list[str], bytes]:
    """
    Return the awakeables that a body names, and the answer beside them.

    Raises:
        ProtocolError: The body is not such a pair (400).
    """
    names, answer = decoded(body, tuple[list[str], msgspec.Raw])
    if len(only_awakeables(names)) < len(names):
        raise ProtocolError(400, "the body names what is not an awakeable")
    try:
        read_answer(Peek(""), 200, bytes(answer))
    except ProtocolError as error:
        # Its own status is the one under which an answer came, and none came.
        raise ProtocolError(400, f"not a valid answer: {error.reason}") from None
    return names, bytes(answer)


def only_awakeables(names: Iterable[str]) -> list[str]:
    """Return those *names* that Restate can decode."""
    return [name for name in names if _AWAKEABLE.fullmatch(name)]


async def wait_for_answer(
    ctx: Context, id: str, seconds: float | None, awake: float
) -> bytes:
    """
    Wait until a promise is settled, as durable steps of an invocation.

    Args:
        ctx: The invocation that waits.
        id: The promise's id.
        seconds: The longest wait; None for as long as it takes.
        awake: For how long the invocation is not suspended while it waits, in
            seconds.

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
        if (told := await _within(ctx, woken, seconds, awake)) is not None:
            return told
    except TerminalError as error:
        # A dispose has cleared the waiters already.
        if error.message != DISPOSED_MESSAGE:
            ctx.generic_send(OBJECT, FORGET, waiter, key=id)
        raise
    ctx.generic_send(OBJECT, FORGET, waiter, key=id)
    return PENDING


async def _within(
    ctx: Context, woken: RestateDurableFuture[bytes], seconds: float, awake: float
) -> bytes | None:
    """
    Return what an awakeable is resolved with, or None when the time is over.

    A timer of Restate's ends when *its* clock shows what was *our* clock and the
    time to wait: too early or too late by as much as the two differ. So it is used
    only where the invocation is to be suspended meanwhile, and what it left of the
    time is waited for here, by steps that run no longer than *awake*.
    """
    left = seconds
    if seconds > awake:
        began = ctx.run_typed("clock", _clock)
        sleeping = ctx.sleep(timedelta(seconds=seconds))
        match await select(woken=woken, sleeping=sleeping):
            case ["woken", bytes(answer)]:
                return answer
        left -= await ctx.run_typed("clock", _clock) - await began
    while left > _IN_TIME:
        step = min(left, awake)
        timer = ctx.run_typed("wait", _sleep, RunOptions(), step)
        match await select(woken=woken, timer=timer):
            case ["woken", bytes(answer)]:
                return answer
        left -= step
    return None


async def _clock() -> float:
    return time.time()


async def _sleep(seconds: float) -> None:
    await asyncio.sleep(seconds)
