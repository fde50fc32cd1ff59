"""`differences` and `wrong_events`: what an answer says that a case does not."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from dp_core._errors import InvalidTermsError, PromiseDisposedError, ProtocolError
from dp_core._states import Outcome, Rejected
from dp_core.testing.wire._raw_client import WireResponse
from dp_core.wire import EVENT_STREAM, Comment, EventDecoder, Notification, read_moment

__all__ = ["differences", "wrong_events"]

_MOMENT: Final = re.compile("<moment(?: (.+))?>")
_TEXTS: Final[Mapping[str, Any]] = {"<text>": str, "<text or null>": str | None}


def differences(wanted: Any, found: Any, place: str = "the answer") -> Iterator[str]:
    """Yield how content differs from what is wanted."""
    if isinstance(wanted, dict):
        yield from _other_members(wanted, found, place)
    elif isinstance(wanted, list):
        yield from _other_items(wanted, found, place)
    elif isinstance(wanted, str) and wanted in _TEXTS:
        if not isinstance(found, _TEXTS[wanted]):
            yield f"{place} is {json.dumps(found)}, not a {wanted[1:-1]}"
    elif isinstance(wanted, str) and (moment := _MOMENT.fullmatch(wanted)):
        if not _is_moment(found, moment[1]):
            yield f"{place} is {json.dumps(found)}, not {wanted[1:-1]} of RFC 3339"
    elif found != wanted or isinstance(found, bool) != isinstance(wanted, bool):
        yield f"{place} is {json.dumps(found)}, not {json.dumps(wanted)}"


def _other_members(wanted: dict[str, Any], found: Any, place: str) -> Iterator[str]:
    if not isinstance(found, dict):
        yield f"{place} is {json.dumps(found)}, not an object"
        return
    for key, value in wanted.items():
        if key not in found:
            yield f"{place} has no member {key!r}"
        else:
            yield from differences(value, found[key], f"{key!r} of {place}")


def _other_items(wanted: list[Any], found: Any, place: str) -> Iterator[str]:
    if not isinstance(found, list) or len(found) != len(wanted):
        yield f"{place} is {json.dumps(found)}, not an array of {len(wanted)}"
        return
    for number, (one, other) in enumerate(zip(wanted, found, strict=True), 1):
        yield from differences(one, other, f"item {number} of {place}")


def _is_moment(found: Any, wanted: str | None) -> bool:
    try:
        moment = read_moment(found) if isinstance(found, str) else None
    except InvalidTermsError:
        return False
    return moment is not None and (wanted is None or moment == read_moment(wanted))


def wrong_events(wanted: Mapping[str, Any], answer: WireResponse) -> Iterator[str]:
    """Yield how an answer differs from a stream that tells what is wanted, and ends."""
    kind = (answer.content_type or "").partition(";")[0].strip().lower()
    if kind != EVENT_STREAM:
        yield f"the answer is of the type {kind!r}, not {EVENT_STREAM}"
        return
    try:
        events = EventDecoder().feed(answer.body.encode())
    except ProtocolError as error:
        yield f"the answer is not a stream of events: {error.reason}"
        return
    if not events or not isinstance(events[0], Comment):
        yield "the stream does not begin with a comment"
    told = [event for event in events if isinstance(event, Notification)]
    if sorted(event.id for event in told) != sorted(wanted):
        yield f"the stream tells of {[event.id for event in told]}, not of {[*wanted]}"
        return
    for event in told:
        place = f"what is told of {event.id!r}"
        yield from differences(wanted[event.id], _content(event.told), place)


def _content(told: Outcome[bytes] | PromiseDisposedError | None) -> dict[str, Any]:
    if told is None:
        return {"ask": True}
    if isinstance(told, PromiseDisposedError):
        return {"disposed": True}
    if isinstance(told, Rejected):
        return {"error": told.error}
    return {"value": json.loads(told.value)}
