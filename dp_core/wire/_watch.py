"""`WatchCall`: a question for many outcomes at once; its requests."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, final
from urllib.parse import parse_qsl, urlencode

from dp_core._errors import CodecError, ProtocolError
from dp_core._ids import MAX_ID_BYTES, check_id
from dp_core._text import quoted
from dp_core.values import decode, encode, split_array, split_object

__all__ = [
    "MAX_WATCHED",
    "MAX_WATCHED_BY_GET",
    "MAX_WATCH_BYTES",
    "WATCH_PATH",
    "WatchCall",
    "read_watch",
    "read_watch_query",
    "write_watch",
    "write_watch_query",
]

WATCH_PATH: Final = "/watch"

MAX_WATCHED: Final = 10_000
"""The most promises of one event stream."""

MAX_WATCHED_BY_GET: Final = 50
"""The most promises of one that is asked for by GET; proxies cut long lines."""

MAX_WATCH_BYTES: Final = MAX_WATCHED * (MAX_ID_BYTES + 3) + 1024
"""The longest body: as many of the longest ids, each in quotes and with a comma."""


@final
@dataclass(frozen=True, slots=True)
class WatchCall:
    """Ask for the outcomes of promises, each as soon as there is one, as events."""

    ids: tuple[str, ...]


def write_watch(call: WatchCall) -> bytes:
    """Return the body of a POST that makes *call*."""
    return b'{"promiseIds":[%b]}' % b",".join(map(encode, call.ids))


def write_watch_query(call: WatchCall) -> str:
    """Return the query string of a GET that makes *call*."""
    return urlencode([("promiseId", id) for id in call.ids])


def read_watch(body: bytes) -> WatchCall:
    """
    Return the call that the body of a POST makes; the inverse of `write_watch`.

    Raises:
        ProtocolError: It is not one, or has members that it cannot have (400).
        InvalidPromiseIdError: One of the ids cannot name a promise.
    """
    # What is left without that many strings is commas. Parsed, ten megabytes of
    # the shortest items would be hundreds.
    rest = _STRING.sub(b"", body, MAX_WATCHED + 1).translate(None, b" \t\r\n")
    if len(rest) > MAX_WATCHED + _STRUCTURE:
        raise _too_many(MAX_WATCHED)
    try:
        members = split_object(body)
        unknown = [key for key in members if key != "promiseIds"]
        if unknown:
            raise ProtocolError(
                400, f"unknown: {quoted(unknown[0])}; the one member is 'promiseIds'"
            )
        if "promiseIds" not in members:
            raise ProtocolError(400, "'promiseIds' is missing")
        array = members["promiseIds"]
        if not all(item.startswith(b'"') for item in split_array(array)):
            raise ProtocolError(400, "an item of 'promiseIds' is not a string")
        ids = decode(array)
    except CodecError as error:
        raise ProtocolError(400, f"the body is {error}; {_FORM}") from None
    return _checked(ids, MAX_WATCHED)


_STRING: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"')
_STRUCTURE: Final = 100
_FORM: Final = 'POST /watch with {"promiseIds": [ID, …]}'


def read_watch_query(query: str) -> WatchCall:
    """
    Return the call that the query of a GET makes.

    Raises:
        ProtocolError: It is not one, or has members that it cannot have (400).
        InvalidPromiseIdError: One of the ids cannot name a promise.
    """
    try:
        pairs = parse_qsl(
            query,
            keep_blank_values=True,
            strict_parsing=bool(query),
            errors="strict",
            max_num_fields=1000,
        )
    except ValueError as error:
        raise ProtocolError(400, f"the query is not a valid one: {error}") from None
    for key, _ in pairs:
        if key != "promiseId":
            raise ProtocolError(
                400, f"unknown: {quoted(key)}; the one member is 'promiseId'"
            )
    return _checked([id for _, id in pairs], MAX_WATCHED_BY_GET)


def _checked(ids: list[str], most: int) -> WatchCall:
    if not ids:
        raise ProtocolError(400, "no id is there to watch")
    if len(ids) > most:
        raise _too_many(most)
    seen: set[str] = set()
    for id in ids:
        check_id(id)
        if id in seen:
            raise ProtocolError(400, f"the id {quoted(id)} is there twice")
        seen.add(id)
    return WatchCall(tuple(ids))


def _too_many(most: int) -> ProtocolError:
    return ProtocolError(400, f"more than {most:,} ids; ask for the others apart")
