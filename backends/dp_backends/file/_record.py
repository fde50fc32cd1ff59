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
``rejected`` with the message, ``created`` with the terms, or ``disposed``, which begins
the generation that is named after the record's own nonce. The checksum is over
every byte before its own line, so that no bit can change unnoticed. ``at`` is when the
event was, by the clock of the process ``pid``.

Before the event stand, in records of format 2 alone: ``by``, who settled it;
``expired``, that its deadline did; and beside terms ``since``, the promise's place in
the order of the store, see `_listing`.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from datetime import datetime
from hashlib import sha256
from secrets import token_hex
from typing import Any, Final, NamedTuple, TypeAlias, Union, assert_never, final

from dp_core import (
    BackendUnavailableError,
    CorruptPromiseError,
    DurablePromiseError,
    InvalidTermsError,
    Outcome,
    Rejected,
    Resolved,
    Terms,
)
from dp_core.backend import now
from dp_core.wire import read_moment, read_terms, write_moment, write_terms

__all__ = ["FIRST", "FORMATS", "OUTCOMES_ONLY", "WITH_TERMS", "Event", "Record"]

OUTCOMES_ONLY: Final = 1
"""The format of records, and of stores, that every version of this package reads."""

WITH_TERMS: Final = 2
"""The format of what such versions would not understand: terms, and who settled."""

FORMATS: Final = (OUTCOMES_ONLY, WITH_TERMS)
"""The formats that this version reads, of records and of a store's layout."""

FIRST: Final = "first"
"""The generation of an id that was never disposed of."""

Event: TypeAlias = Union[Outcome[bytes], Terms[bytes], None]
"""The event of a record: a promise was settled, created, or (None) disposed of."""

_BODY: Final = b"""{
"format": %d,
"id": %b,
"generation": "%b",
"nonce": "%b",
"at": "%b",
"pid": %d,
%b%b%b%b"""
"""The lines that every record has; then those that few have, and the event."""

_TAIL: Final = b',\n"sha256": "%b"\n}\n'
_TAIL_LENGTH: Final = len(_TAIL % (b"0" * 64))
_PARTS: Final = re.compile(
    rb'\{\n((?:"[a-z]+": [^\n]*,\n)+?)"(resolved|rejected|created|disposed)": '
)
"""The lines before the event, and its key."""


@final
class Record(NamedTuple):
    """
    The content of one published file: an outcome, terms, or a disposal.

    Attributes:
        id: The promise's id.
        generation: The generation that was settled, created or disposed of.
        nonce: Random; also the name of the mark, see `_publishing`.
        event: The outcome, or the terms; None for a disposal, which ends
            ``generation`` and begins the one called ``nonce``.
        at: When that was, as RFC 3339 has it.
        since: Beside terms, when the generation was first heard of; else "".
        expired: Whether a deadline settled it.
    """

    id: str
    generation: str
    nonce: str
    event: Event
    at: str
    since: str = ""
    expired: bool = False

    @classmethod
    def new(
        cls, id: str, generation: str, event: Event, *, expired: bool = False
    ) -> Record:
        at = write_moment(now())
        return cls(id, generation, token_hex(16), event, at, expired=expired)

    def dated(self, moment: datetime, since: str) -> Record:
        """Return the record of something that happened at a moment; see ``since``."""
        at = write_moment(moment)
        return self._replace(at=at, since=since or at)

    @property
    def form(self) -> int:
        """The oldest format in which this can be said."""
        by = self.event.by if isinstance(self.event, (Resolved, Rejected)) else None
        if by is not None or self.expired or isinstance(self.event, Terms):
            return WITH_TERMS
        return OUTCOMES_ONLY

    def to_bytes(self) -> bytes:
        by = since = b""
        match self.event:
            case Resolved(text):
                event = b'"resolved": ' + text
                by = self._by(self.event)
            case Rejected(error):
                event = b'"rejected": ' + _json(error)
                by = self._by(self.event)
            case Terms():
                event = b'"created": ' + write_terms(self.event)
                since = b'"since": %b,\n' % _json(self.since)
            case None:
                event = b'"disposed": true'
            case _:
                assert_never(self.event)
        expired = b'"expired": true,\n' if self.expired else b""
        body = _BODY % (
            self.form,
            _json(self.id),
            self.generation.encode(),
            self.nonce.encode(),
            self.at.encode(),
            os.getpid(),
            by,
            expired,
            since,
            event,
        )
        return body + _TAIL % sha256(body).hexdigest().encode()

    @staticmethod
    def _by(outcome: Outcome[bytes]) -> bytes:
        return b"" if outcome.by is None else b'"by": %b,\n' % _json(outcome.by)

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
        form: object = "unknown"
        try:
            if parts := _PARTS.match(body):
                header = json.loads(b"{%b}" % parts[1][:-2])
                form = header["format"]
                if form in FORMATS:
                    return cls(
                        header["id"],
                        header["generation"],
                        header["nonce"],
                        _EVENTS[parts[2]](body[parts.end() :], header.get("by")),
                        header["at"],
                        header.get("since", ""),
                        header.get("expired", False),
                    )
        except (ValueError, KeyError, TypeError, DurablePromiseError):
            form = "unknown"
        raise BackendUnavailableError(
            f"the record {path} has format {form}, and this version reads "
            f"{FORMATS[0]} to {FORMATS[-1]}; upgrade durable-promises"
        )

    def moment(self) -> datetime:
        """Return when the event was; raises as `heard_at` does."""
        return _moment(self.id, self.at)

    def heard_at(self) -> datetime:
        """
        Return when the generation was first heard of, as far as this record knows.

        Raises:
            CorruptPromiseError: Whoever wrote it did not write a moment.
        """
        return _moment(self.id, self.since or self.at)


def _moment(id: str, text: str) -> datetime:
    try:
        return read_moment(text)
    except InvalidTermsError:
        raise CorruptPromiseError(
            f"a record of promise {id!r} says that it was written at {text!r}; restore "
            "it from a backup, or dispose of the promise"
        ) from None


# json.dumps() would make another one for every call.
_ENCODER: Final = json.JSONEncoder(ensure_ascii=False)


def _json(text: str) -> bytes:
    return _ENCODER.encode(text).encode()


def _disposed(text: bytes, by: str | None) -> None:
    return None


def _resolved(text: bytes, by: str | None) -> Resolved[bytes]:
    return Resolved(text, by=by)


def _rejected(text: bytes, by: str | None) -> Rejected:
    return Rejected(json.loads(text), by=by)


def _created(text: bytes, by: str | None) -> Terms[bytes]:
    # They were within the limits of whoever wrote them.
    return read_terms(text, len(text))


_EVENTS: Final[dict[bytes, Callable[[bytes, Any], Event]]] = {
    b"resolved": _resolved,
    b"rejected": _rejected,
    b"created": _created,
    b"disposed": _disposed,
}
