"""
Batches: several calls in one request, and their answers in one.

A call of a batch is what it is alone, with its operation beside its other members, and
so is its answer: one that is refused has no effect on the others.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any, Final, TypeAlias, Union

from dp_core._errors import CodecError, DurablePromiseError, ProtocolError
from dp_core._ids import check_id
from dp_core._states import Resolved
from dp_core._text import quoted
from dp_core.values import MAX_VALUE_BYTES, check_text, decode, split_shallow
from dp_core.wire._calls import (
    ENVELOPE_BYTES,
    Create,
    Dispose,
    Info,
    Peek,
    PromiseCall,
    Settle,
    read_members,
    split_body,
)

__all__ = [
    "BATCH_PATH",
    "MAX_BATCH_ANSWER_BYTES",
    "MAX_BATCH_CALLS",
    "BatchedCall",
    "max_batch_bytes",
    "read_batch",
    "read_batch_answer",
    "write_batch",
    "write_batch_answer",
]

BATCH_PATH: Final = "/batch"
"""The path at which batches are sent, by POST."""

MAX_BATCH_CALLS: Final = 1000
"""The most calls of one batch."""

MAX_BATCH_ANSWER_BYTES: Final = 8 * 1024 * 1024
"""The bytes of answers after which no further call of a batch is begun."""

_MAX_BATCH_BYTES: Final = 8 * 1024 * 1024

BatchedCall: TypeAlias = Union[Peek, Settle, Dispose, Create, Info]
"""The calls that a batch may have."""

_OPERATIONS: Final = ("peek", "resolve", "reject", "dispose", "create", "info")

_VALUES: Final = 2
"""The values that a create may have: its data, and the outcome after the deadline."""


def max_batch_bytes(limit: int = MAX_VALUE_BYTES) -> int:
    """
    Return how long the body of a batch may be.

    Args:
        limit: The largest value to accept, in bytes of JSON text.
    """
    return max(_MAX_BATCH_BYTES, limit + ENVELOPE_BYTES)


# As the server reads and writes them -----------------------------------------


def read_batch(
    body: bytes, limit: int = MAX_VALUE_BYTES
) -> list[BatchedCall | DurablePromiseError]:
    """
    Return the calls of a batch; for one that cannot be made, why.

    Args:
        body: The body of the request.
        limit: The largest value to accept, in bytes of JSON text.

    Raises:
        ProtocolError: It is not a batch, or of too many calls (400).
    """
    try:
        items = split_shallow(body, MAX_BATCH_CALLS)
    except CodecError as error:
        raise ProtocolError(
            400, f"the body is not an array of calls: {error}; {_FORM}"
        ) from None
    if len(items) > MAX_BATCH_CALLS:
        raise ProtocolError(
            400,
            f"too many calls: a batch has {MAX_BATCH_CALLS:,} at most; send several",
        )
    return [_read_usual(item, limit) or _read_one(item, limit) for item in items]


_USUAL: Final = re.compile(
    rb'\{"op":"(peek|resolve)","promiseId":"([^"\\\x00-\x1f]+)"(?:,"value":(.*))?\}',
    re.DOTALL,
)


def _read_usual(text: bytes, limit: int) -> BatchedCall | None:
    """
    Return the call that a client of ours writes most; None for any other.

    `_read_one` returns the same, and takes longer. All that comes after ``"value":`` is
    one JSON text, so there is no other member.
    """
    if len(text) > limit or (usual := _USUAL.fullmatch(text)) is None:
        return None
    operation, id, value = usual.groups()
    if (value is None) is (operation == b"resolve"):
        return None
    try:
        name = id.decode()
        check_id(name)
        if value is None:
            return Peek(name)
        return Settle(name, Resolved(check_text(value, limit)))
    except (DurablePromiseError, UnicodeDecodeError):
        return None


_FORM: Final = (
    'a call is {"op": OPERATION, "promiseId": ID}, with the other members that it has '
    f"alone; OPERATION is one of {', '.join(_OPERATIONS)}"
)


def _read_one(text: bytes, limit: int) -> BatchedCall | DurablePromiseError:
    try:
        members = split_body(text)
        operation = members.pop("op", b"")
        # Asked before decoding: a number of a million digits would cost a second.
        name = decode(operation) if operation.startswith(b'"') else None
        if name is None:
            raise ProtocolError(400, f"'op' is not there, or not a string; {_FORM}")
        if name not in _OPERATIONS:
            raise ProtocolError(404, f"no operation {quoted(name)}; {_FORM}")
        most = (limit + ENVELOPE_BYTES) * (_VALUES if name == "create" else 1)
        if len(text) > most:
            raise ProtocolError(
                413,
                f"the call has more than {most:,} bytes; store the bulk elsewhere and "
                "settle with a reference",
            )
        call: BatchedCall = read_members(name, members, limit)  # type: ignore[assignment] # never a wait
    except DurablePromiseError as error:
        return error
    return call


def write_batch_answer(answers: Sequence[tuple[int, bytes]]) -> bytes:
    """
    Return the body that answers a batch.

    Args:
        answers: Status and body of the answer to each call, as it would be alone.
    """
    return b"[%b]" % b",".join(
        [b'{"status":%d,"body":%b}' % (code, text or b"null") for code, text in answers]
    )


# As a client writes and reads them -------------------------------------------


def write_batch(requests: Sequence[tuple[str, bytes]]) -> bytes:
    """
    Return the body of the request that makes several calls.

    Args:
        requests: Path and body of each call, as `write_call` wrote them.
    """
    return b"[%b]" % b",".join(
        [
            b'{"op":"%b",%b' % (path.rpartition("/")[2].encode(), body[1:])
            for path, body in requests
        ]
    )


def read_batch_answer(
    calls: Sequence[PromiseCall], body: bytes
) -> list[tuple[int, bytes]]:
    """
    Return status and body of the answer to each call, as `read_answer` takes them.

    Args:
        calls: The calls.
        body: The body of the answer, whose status was 200.

    Raises:
        ProtocolError: It is not an answer to these calls.
    """
    import msgspec  # noqa: PLC0415 - only batches need it

    try:
        answers = _decoder().decode(body)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ProtocolError(200, f"not an answer to a batch: {error}") from None
    if len(answers) != len(calls):
        raise ProtocolError(
            200, f"the server gave {len(answers)} answers to {len(calls)} calls"
        )
    return [
        (answer.status, _body(call, bytes(answer.body)))
        for call, answer in zip(calls, answers, strict=True)
    ]


def _body(call: PromiseCall, text: bytes) -> bytes:
    # Alone, the answer to a dispose has none.
    return b"" if isinstance(call, Dispose) and text == b"null" else text


@cache
def _decoder() -> Any:
    import msgspec  # noqa: PLC0415 - only batches need it

    answer = msgspec.defstruct(
        "answer",
        [("status", int), ("body", msgspec.Raw)],
        forbid_unknown_fields=True,
    )
    return msgspec.json.Decoder(list[answer])  # type: ignore[valid-type] # made here
