"""
How the parts call each other: names, requests, refusals, and the one wait.

Everything is JSON text as bytes, in the forms of `dp_core.wire`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final
from urllib.parse import quote

from restate import (
    Context,
    InvocationRetryPolicy,
    Service,
    TerminalError,
    VirtualObject,
    select,
)
from restate.serde import BytesSerde

from dp_core import (
    DurablePromiseError,
    Pending,
    __version__,
)
from dp_core.wire import DISPOSED_MESSAGE, write_answer, write_error

__all__ = [
    "AWAIT",
    "FORGET",
    "OBJECT",
    "ONCE",
    "PENDING",
    "RAW",
    "SERVICE",
    "SETTINGS",
    "WAKE",
    "accept_nothing",
    "object_path",
    "terminal_errors",
    "wait",
]

OBJECT: Final = "promises"
SERVICE: Final = "promise"
AWAIT: Final = "await"
FORGET: Final = "forget"
WAKE: Final = "wake"

RAW: Final = BytesSerde()
"""JSON text stays the text it is, as in every backend."""

PENDING: Final = write_answer(Pending())

SETTINGS: Final[dict[str, Any]] = {
    # By it a registration can tell an older service of ours.
    "metadata": {"version": __version__},
    # What stands is in the state. How it came there is of no use afterwards, and
    # to do it again is to be told what stands.
    "journal_retention": timedelta(0),
    "idempotency_retention": timedelta(0),
    # By default Restate gives up after an hour or so without the service, and
    # pauses the invocation until somebody resumes it by hand.
    "invocation_retry_policy": InvocationRetryPolicy(
        initial_interval=timedelta(milliseconds=100),
        exponentiation_factor=2.0,
        max_interval=timedelta(seconds=5),
        max_attempts=2**31 - 1,
    ),
}
"""What holds for all handlers."""

ONCE: Final = timedelta(minutes=10)
"""
How long the answer of a dispose is kept.

Restate's ingress asks again when a node fails. To dispose again would be to
dispose of a completion that came in between, so it must find the answer.
"""


def accept_nothing(service: Service | VirtualObject) -> None:
    """
    Let Restate pass on a body that is empty, as it does for the reference.

    The SDK makes schemas from annotations, and where there is one, Restate
    misses the body.
    """
    for handler in service.handlers.values():
        handler.handler_io.input_type = None


def object_path(id: str, operation: str) -> str:
    """Return the path at which the object of a promise does an operation."""
    return f"/{OBJECT}/{quote(id, safe='')}/{operation}"


@contextmanager
def terminal_errors() -> Iterator[None]:
    """
    Make our errors terminal, so that Restate answers them and tries no more.

    Raises:
        TerminalError: In place of any `DurablePromiseError`, with its message
            and the status that it has on the wire.
    """
    try:
        yield
    except DurablePromiseError as error:
        status, failure = write_error(error)
        raise TerminalError(json.loads(failure)["message"], status) from None


async def wait(ctx: Context, id: str, seconds: float | None) -> bytes:
    """
    Return what stands for a promise once there is something: a durable step.

    Args:
        ctx: The invocation that waits.
        id: The promise's id.
        seconds: How long to wait; after that, `PENDING` is returned. None for
            as long as it takes.

    Raises:
        TerminalError: The promise was disposed of, with `DISPOSED_MESSAGE` as its
            message; or the invocation was cancelled.
    """
    waiter, told = ctx.awakeable(RAW)
    name = json.dumps(waiter).encode()
    try:
        stands = await ctx.generic_call(OBJECT, AWAIT, name, key=id)
        if stands != PENDING:
            return stands
        if seconds is None:
            return await told
        match await select(told=told, over=ctx.sleep(timedelta(seconds=seconds))):
            case ["told", bytes(stands)]:
                return stands
    except TerminalError as error:
        if error.message != DISPOSED_MESSAGE:
            ctx.generic_send(OBJECT, FORGET, name, key=id)
        raise
    ctx.generic_send(OBJECT, FORGET, name, key=id)
    return PENDING
