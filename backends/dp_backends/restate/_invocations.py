"""
Settings of every invocation of our handlers.

`SETTINGS` and `DISPOSE_RETENTION` say for how long Restate keeps and retries an
invocation, `RAW` in which form its bodies are, and `terminal_errors` how it fails.
Bodies are JSON text as bytes, in the forms of `dp_core.wire`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final

import msgspec
from restate import InvocationRetryPolicy, Service, TerminalError, VirtualObject
from restate.serde import BytesSerde

from dp_core import DurablePromiseError, Pending, ProtocolError, __version__
from dp_core.wire import write_answer, write_error

__all__ = [
    "DISPOSE_RETENTION",
    "PENDING",
    "RAW",
    "SETTINGS",
    "accept_empty_bodies",
    "decoded",
    "terminal_errors",
]

RAW: Final = BytesSerde()
"""Leaves JSON text as it is, as every backend does."""

PENDING: Final = write_answer(Pending())
"""The answer of the wire for a pending promise."""

SETTINGS: Final[dict[str, Any]] = {
    # By this a registration recognises an older version of our service.
    "metadata": {"version": __version__},
    # The outcome is in the state. The journal is of no use afterwards, and to
    # repeat a settle is safe without a stored answer.
    "journal_retention": timedelta(0),
    "idempotency_retention": timedelta(0),
    # By default Restate gives up after an hour or so without the service, and
    # pauses the invocation until it is resumed by hand.
    "invocation_retry_policy": InvocationRetryPolicy(
        initial_interval=timedelta(milliseconds=100),
        exponentiation_factor=2.0,
        max_interval=timedelta(seconds=5),
        max_attempts=2**31 - 1,
    ),
}
"""Settings of all handlers, for Restate's SDK."""

DISPOSE_RETENTION: Final = timedelta(minutes=10)
"""
Time for which Restate keeps the answer of a dispose.

Restate's ingress repeats a call when a node fails. A second dispose would forget
an outcome that came in between, so the repeated call must find the first answer.
"""


def decoded(body: bytes, type_: Any) -> Any:
    """
    Return what a body says, of the type that a handler takes.

    Raises:
        ProtocolError: It is not of the type (400).
    """
    try:
        return msgspec.json.decode(body, type=type_)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise ProtocolError(400, "the body is not what this handler takes") from None


def accept_empty_bodies(service: Service | VirtualObject) -> None:
    """
    Let Restate pass on empty bodies, as it does for the reference.

    The SDK derives a schema from annotations, and a handler with a schema is not
    called without a body.
    """
    for handler in service.handlers.values():
        handler.handler_io.input_type = None


@contextmanager
def terminal_errors() -> Iterator[None]:
    """
    Make our errors terminal, so that Restate answers them and does not retry.

    Raises:
        TerminalError: In place of any `DurablePromiseError`, with its message
            and the status that it has on the wire.
    """
    try:
        yield
    except DurablePromiseError as error:
        status, failure = write_error(error)
        raise TerminalError(json.loads(failure)["message"], status) from None
