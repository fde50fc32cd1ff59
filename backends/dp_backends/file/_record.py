"""
`Record`: the content of one file of the store.

A record is a JSON object a person can read, written one member a line so that
its parts can be found without interpreting the value::

    {
    "format": 1,
    "id": "order-17",
    "generation": "first",
    "nonce": "5f2c…",
    "at": "2026-11-24T09:30:00.123456Z",
    "pid": 4711,
    "resolved": {"total": 12.5},
    "sha256": "9b1d…"
    }

The member before the last is the event: ``resolved`` with the value as it came,
``rejected`` with the message, or ``disposed``, which begins the generation that
is named after the record's own nonce. The checksum is over
every byte before its own line, so that no bit can change unnoticed. ``at`` and
``pid`` are for the reader; nothing depends on them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from secrets import token_hex
from typing import Final, assert_never, final

from dp_core import (
    BackendUnavailableError,
    CorruptPromiseError,
    Outcome,
    Rejected,
    Resolved,
)

__all__ = ["FIRST", "FORMAT", "Record"]

FORMAT: Final = 1
"""The version of the record format and of the store's layout."""

FIRST: Final = "first"
"""The generation of an id that was never disposed of."""

_HEADER: Final = ("format", "id", "generation", "nonce", "at", "pid")
_HEAD: Final = b"{\n" + b"".join(b'"%b": %%b,\n' % key.encode() for key in _HEADER)
_TAIL: Final = b',\n"sha256": "%b"\n}\n'
_TAIL_LENGTH: Final = len(_TAIL % (b"0" * 64))


@final
@dataclass(frozen=True, slots=True)
class Record:
    """
    The content of one published file: an outcome, or a disposal.

    Attributes:
        id: The promise's id.
        generation: The generation that was settled or disposed of.
        nonce: Random; also the name of the mark, see `_publishing`.
        outcome: The outcome; None for a disposal, which ends ``generation`` and
            begins the one called ``nonce``.
    """

    id: str
    generation: str
    nonce: str
    outcome: Outcome[bytes] | None

    @classmethod
    def new(cls, id: str, generation: str, outcome: Outcome[bytes] | None) -> Record:
        return cls(id, generation, token_hex(16), outcome)

    def to_bytes(self) -> bytes:
        match self.outcome:
            case Resolved(text):
                event = b'"resolved": %b' % text
            case Rejected(error):
                event = b'"rejected": %b' % _json(error)
            case None:
                event = b'"disposed": true'
            case _:
                assert_never(self.outcome)
        fields: tuple[str | int, ...] = (
            FORMAT,
            self.id,
            self.generation,
            self.nonce,
            datetime.now(UTC).isoformat().replace("+00:00", "Z"),
            os.getpid(),
        )
        body = _HEAD % tuple(map(_json, fields)) + event
        return body + _TAIL % sha256(body).hexdigest().encode()

    @classmethod
    def from_bytes(cls, data: bytes, path: str) -> Record:
        """
        Parse *data*, which was found at *path*.

        Raises:
            CorruptPromiseError: A byte of it is not as it was written.
            BackendUnavailableError: Another version wrote it.
        """
        body, tail = data[:-_TAIL_LENGTH], data[-_TAIL_LENGTH:]
        if tail != _TAIL % sha256(body).hexdigest().encode():
            raise CorruptPromiseError(
                f"the record {path} is damaged ({len(data):,} bytes, wrong checksum); "
                "restore it from a backup, or dispose of the promise"
            )
        lines = body.split(b"\n", len(_HEADER) + 1)
        try:
            header = json.loads(b"{%b}" % b"\n".join(lines[1:-1])[:-1])
            form, id = header["format"], header["id"]
            generation, nonce = header["generation"], header["nonce"]
            key, _, text = lines[-1].partition(b": ")
            outcome = _OUTCOMES[key](text) if form == FORMAT else None
        except (ValueError, KeyError):
            form = "unknown"
        if form != FORMAT:
            raise BackendUnavailableError(
                f"the record {path} has format {form}, and this version reads "
                f"{FORMAT}; upgrade durable-promises"
            )
        return cls(id, generation, nonce, outcome)


# json.dumps() would make another one for every call.
_ENCODER: Final = json.JSONEncoder(ensure_ascii=False)


def _json(value: str | int) -> bytes:
    return _ENCODER.encode(value).encode()


def _disposed(text: bytes) -> None:
    return None


def _resolved(text: bytes) -> Resolved[bytes]:
    return Resolved(text)


def _rejected(text: bytes) -> Rejected:
    return Rejected(json.loads(text))


_OUTCOMES: Final[dict[bytes, Callable[[bytes], Outcome[bytes] | None]]] = {
    b'"resolved"': _resolved,
    b'"rejected"': _rejected,
    b'"disposed"': _disposed,
}
