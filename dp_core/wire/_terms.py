"""`write_terms`, `write_info` and their inverses: terms and what is known, as JSON."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from dp_core._clock import now
from dp_core._errors import CodecError, InvalidTermsError, ProtocolError
from dp_core._states import Outcome, Pending, Rejected, Resolved, State
from dp_core._terms import (
    PromiseInfo,
    Terms,
    moment_after,
    refuse_reserved,
    state_name,
)
from dp_core._text import quoted
from dp_core.values import (
    MAX_VALUE_BYTES,
    check_message,
    check_text,
    decode,
    encode,
    say_the_same,
    split_object,
)
from dp_core.wire._callbacks import (
    read_callbacks,
    refuse_deliveries,
    write_callbacks,
    write_urls,
)

__all__ = [
    "ASKED",
    "TERMS",
    "asked_terms",
    "read_info",
    "read_moment",
    "read_terms",
    "split",
    "terms_of",
    "write_asked",
    "write_info",
    "write_moment",
    "write_outcome",
    "write_terms",
]

_NULL: Final = b"null"

_Members = Mapping[str, bytes]


# Written ----------------------------------------------------------------------


def write_moment(moment: datetime) -> str:
    """Return a moment as RFC 3339 has it, in UTC: ``2026-11-26T14:30:00.250Z``."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    kind = "microseconds" if moment.microsecond % 1000 else "milliseconds"
    return moment.isoformat(timespec=kind).removesuffix("+00:00") + "Z"


def write_outcome(outcome: Outcome[bytes]) -> bytes:
    """Return an outcome as a JSON object: ``{"value": …}`` or ``{"error": …}``."""
    if isinstance(outcome, Resolved):
        return b'{"value":%b}' % outcome.value
    return _object(_outcome_members(outcome))


def _outcome_members(outcome: Outcome[bytes]) -> dict[str, bytes]:
    if isinstance(outcome, Resolved):
        return {"value": outcome.value}
    return {"error": encode(outcome.error, len(outcome.error) * 6 + 2)}


def write_terms(terms: Terms[bytes]) -> bytes:
    """Return terms as a JSON object; the inverse of `read_terms`."""
    return _object(_terms_members(terms))


def write_asked(terms: Terms[bytes]) -> bytes:
    """Return terms as a JSON object that asks for them, without what is null."""
    members = _public_members(terms)
    if terms.within is not None:
        # By the clock of the store.
        members["deadline"] = b"%r" % terms.within.total_seconds()
    return _object({key: text for key, text in members.items() if text != _NULL})


def write_info(info: PromiseInfo[bytes]) -> bytes:
    """Return what is known about a promise as a JSON object; see `read_info`."""
    members = {"promiseId": encode(info.id), "state": encode(state_name(info.state))}
    if not isinstance(info.state, Pending):
        members |= _outcome_members(info.state)
    members |= (
        dict.fromkeys(TERMS, _NULL)
        if info.terms is None
        else _public_members(info.terms)
    )
    for key, moment in (("createdAt", info.created_at), ("settledAt", info.settled_at)):
        members[key] = _NULL if moment is None else encode(write_moment(moment))
    members["settledBy"] = encode(info.settled_by)
    members["expired"] = encode(info.expired)
    members["cursor"] = encode(info.cursor)
    return _object(members)


def _public_members(terms: Terms[bytes]) -> dict[str, bytes]:
    """Return the members of terms outside of their store, where ids mean nothing."""
    members = _terms_members(terms)
    if terms.notify:
        members["notify"] = write_urls(terms.notify)
    return members


def _terms_members(terms: Terms[bytes]) -> dict[str, bytes]:
    deadline, otherwise = terms.deadline, terms.otherwise
    members = {
        "deadline": _NULL if deadline is None else encode(write_moment(deadline)),
        "otherwise": _NULL if otherwise is None else write_outcome(otherwise),
        "tags": encode(dict(terms.tags)),
        "data": _NULL if terms.data is None else terms.data,
    }
    # Where there are none the member is left out, as it was before there were any.
    if terms.notify:
        members["notify"] = write_callbacks(terms.notify)
    return members


TERMS: Final = ("deadline", "otherwise", "tags", "data")
"""The members that say terms, of each promise that was created."""

ASKED: Final = (*TERMS, "notify")
"""The members that ask for terms."""


def _object(members: _Members) -> bytes:
    # Keys are ours, and plain.
    return b"{%b}" % b",".join(
        b'"%b":%b' % (key.encode(), text) for key, text in members.items()
    )


# Read -------------------------------------------------------------------------

# What datetime.fromisoformat takes besides: dates alone, weeks, no zone.
_MOMENT: Final = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)"
)


def read_moment(text: str) -> datetime:
    """
    Return the moment that a text of RFC 3339 says, in UTC.

    Raises:
        InvalidTermsError: It does not say one.
    """
    try:
        if _MOMENT.fullmatch(text):
            return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise InvalidTermsError(
        f"{quoted(text)} is not a valid moment; write it as RFC 3339 does, with its "
        "zone, such as 2026-11-26T14:30:00Z"
    )


def read_terms(text: bytes, limit: int = MAX_VALUE_BYTES) -> Terms[bytes]:
    """
    Return the terms that a JSON object says.

    Args:
        text: The object.
        limit: The largest value to accept, in bytes of JSON text.

    Raises:
        ProtocolError: It is not an object of terms (400).
        InvalidTermsError: No promise can have these terms.
        InvalidValueError: A value or message cannot be kept.
    """
    return terms_of(split(text), limit)


def read_info(text: bytes, limit: int = MAX_VALUE_BYTES) -> PromiseInfo[bytes]:
    """
    Return what a JSON object says about a promise; the inverse of `write_info`.

    Raises:
        ProtocolError: It does not say what is known about a promise, or contradicts
            itself (400).
        InvalidTermsError: No promise can have these terms.
        InvalidValueError: A value or message cannot be kept.
    """
    members = split(text)
    by = _text(members, "settledBy")
    state: State[bytes] = Pending()
    if (outcome := _outcome(members, limit)) is not None:
        state = replace(outcome, by=by)
    if state_name(state) != _text(members, "state"):
        raise ProtocolError(400, "the state of a promise is another than its outcome")
    id = _text(members, "promiseId")
    if id is None:
        raise ProtocolError(400, "'promiseId' is missing")
    created_at = _moment(members, "createdAt")
    if created_at is None and any(_given(members, key) for key in ASKED):
        raise ProtocolError(400, "it has terms, and was not created")
    info = PromiseInfo(
        id=id,
        state=state,
        terms=None if created_at is None else terms_of(members, limit),
        created_at=created_at,
        settled_at=_moment(members, "settledAt"),
        settled_by=by,
        expired=_truth(members, "expired"),
        cursor=_text(members, "cursor"),
    )
    if contradiction := _contradiction(info):
        raise ProtocolError(400, contradiction)
    return info


def _contradiction(info: PromiseInfo[bytes]) -> str | None:
    """
    Return why an info cannot be true, in words; None if it can.

    Moments are not compared: each is what its writer's clock said.
    """
    if info.terms is not None and info.terms.within is not None:
        return "the deadline that stands is a time from now, and not a moment"
    if isinstance(info.state, Pending):
        if info.settled_at is not None or info.settled_by is not None:
            return "it is pending, and was settled"
        return "it is pending, and expired" if info.expired else None
    return _why_not_expired(info, info.state) if info.expired else None


def _why_not_expired(info: PromiseInfo[bytes], outcome: Outcome[bytes]) -> str | None:
    if info.terms is None or info.terms.otherwise is None:
        return "it expired, and had no deadline"
    if info.settled_by is not None:
        return "its deadline settled it, and so did somebody"
    if not _are_one(info.terms.otherwise, outcome):
        return "its deadline settled it, to something else than its terms say"
    return None


def _are_one(one: Outcome[bytes], other: Outcome[bytes]) -> bool:
    match one, other:
        case Resolved(text), Resolved(another):
            return say_the_same(text, another)
    return one == other


def split(text: bytes) -> _Members:
    """
    Return the members of a JSON object, each as the text that it came with.

    Raises:
        ProtocolError: It is not one (400).
    """
    try:
        return split_object(text)
    except CodecError as error:
        raise ProtocolError(400, f"not a JSON object: {error}") from None


def asked_terms(members: _Members, limit: int) -> Terms[bytes]:
    """Return the terms that members of an object ask for; see `read_terms`."""
    terms = terms_of(members, limit)
    refuse_reserved(terms.tags)
    refuse_deliveries(terms.notify)
    return terms


def terms_of(members: _Members, limit: int) -> Terms[bytes]:
    """Return the terms that members of an object say; see `read_terms`."""
    otherwise: Outcome[bytes] | None = None
    if (text := _given(members, "otherwise")) is not None:
        outcome = split(text)
        otherwise = _outcome(outcome, limit)
        if otherwise is None or len(outcome) > 1:
            raise InvalidTermsError(
                "'otherwise' is an object with a 'value' or an 'error' alone, such as "
                '{"error": "too late"}'
            )
    data = _given(members, "data")
    notify = _given(members, "notify")
    deadline, within = _deadline(members)
    return Terms(
        deadline=deadline,
        otherwise=otherwise,
        tags=_tags(members),
        data=None if data is None else check_text(data, limit),
        within=within,
        notify=() if notify is None else read_callbacks(notify),
    )


def _deadline(members: _Members) -> tuple[datetime | None, timedelta | None]:
    """Return a deadline, and how far away it is where that is what was asked for."""
    text = _given(members, "deadline")
    if text is None or text.startswith(b'"'):
        return _moment(members, "deadline"), None
    try:
        within = timedelta(seconds=float(text))
    except (ValueError, OverflowError):
        raise InvalidTermsError(
            f"{quoted(text[:100].decode(errors='replace'))} is not a valid deadline; "
            "write seconds from now as a number, or a moment as RFC 3339 does, such as "
            '"2026-11-26T14:30:00Z"'
        ) from None
    return moment_after(now(), within), within


def _tags(members: _Members) -> dict[str, str]:
    text = _given(members, "tags")
    if text is None:
        return {}
    # Short enough, so that a number of a million digits costs nothing.
    tags = decode(check_text(text, _TAGS_BYTES))
    if not isinstance(tags, dict):
        raise InvalidTermsError(
            'tags are an object of strings, such as {"order": "17"}'
        )
    return tags


_TAGS_BYTES: Final = 128 * 1024
"""More than 32 tags take in JSON, with every character escaped."""


def _outcome(members: _Members, limit: int) -> Outcome[bytes] | None:
    """Return the outcome that a member ``value`` or ``error`` says; None: neither."""
    if "error" in members:
        if "value" in members:
            raise ProtocolError(400, "it has a 'value' and an 'error'")
        text = members["error"]
        if not text.startswith(b'"'):
            raise ProtocolError(400, "'error' is not a string")
        return Rejected(check_message(decode(text), limit))
    if "value" in members:
        return Resolved(check_text(members["value"], limit))
    return None


def _given(members: _Members, key: str) -> bytes | None:
    text = members.get(key, _NULL)
    return None if text == _NULL else text


def _text(members: _Members, key: str) -> str | None:
    text = _given(members, key)
    if text is None:
        return None
    if not text.startswith(b'"'):
        raise ProtocolError(400, f"{key!r} is not a string")
    return str(decode(text))


def _truth(members: _Members, key: str) -> bool:
    text = members.get(key, b"false")
    if text not in (b"true", b"false"):
        raise ProtocolError(400, f"{key!r} is not true or false")
    return text == b"true"


def _moment(members: _Members, key: str) -> datetime | None:
    text = _text(members, key)
    return None if text is None else read_moment(text)
