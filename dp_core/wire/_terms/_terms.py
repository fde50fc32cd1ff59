"""`write_terms`, `write_asked`, and their inverses: terms as JSON."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from dp_core._clock import now
from dp_core._errors import InvalidTermsError
from dp_core._states import Outcome
from dp_core._terms import Terms, moment_after, refuse_reserved
from dp_core._text import quoted
from dp_core.values import MAX_VALUE_BYTES, check_text, decode, encode
from dp_core.wire._terms._callbacks import (
    read_callbacks,
    refuse_deliveries,
    write_callbacks,
    write_urls,
)
from dp_core.wire._terms._moments import moment_of, write_moment
from dp_core.wire._terms._objects import NULL, Members, given, split, write_object
from dp_core.wire._terms._outcomes import outcome_of, write_outcome

__all__ = [
    "ASKED",
    "TERMS",
    "asked_terms",
    "public_members",
    "read_terms",
    "terms_of",
    "write_asked",
    "write_terms",
]

TERMS: Final = ("deadline", "otherwise", "tags", "data")
"""The members that say terms, of each promise that was created."""

ASKED: Final = (*TERMS, "notify")
"""The members that ask for terms."""


# Written ----------------------------------------------------------------------


def write_terms(terms: Terms[bytes]) -> bytes:
    """Return terms as a JSON object; the inverse of `read_terms`."""
    return write_object(_terms_members(terms))


def write_asked(terms: Terms[bytes]) -> bytes:
    """Return terms as a JSON object that asks for them, without what is null."""
    members = public_members(terms)
    if terms.within is not None:
        # By the clock of the store.
        members["deadline"] = b"%r" % terms.within.total_seconds()
    return write_object({key: text for key, text in members.items() if text != NULL})


def public_members(terms: Terms[bytes]) -> dict[str, bytes]:
    """Return the members of terms outside of their store, where ids mean nothing."""
    members = _terms_members(terms)
    if terms.notify:
        members["notify"] = write_urls(terms.notify)
    return members


def _terms_members(terms: Terms[bytes]) -> dict[str, bytes]:
    deadline, otherwise = terms.deadline, terms.otherwise
    members = {
        "deadline": NULL if deadline is None else encode(write_moment(deadline)),
        "otherwise": NULL if otherwise is None else write_outcome(otherwise),
        "tags": encode(dict(terms.tags)),
        "data": NULL if terms.data is None else terms.data,
    }
    # Where there are none the member is left out, as it was before there were any.
    if terms.notify:
        members["notify"] = write_callbacks(terms.notify)
    return members


# Read -------------------------------------------------------------------------


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


def asked_terms(members: Members, limit: int) -> Terms[bytes]:
    """Return the terms that members of an object ask for; see `read_terms`."""
    terms = terms_of(members, limit)
    refuse_reserved(terms.tags)
    refuse_deliveries(terms.notify)
    return terms


def terms_of(members: Members, limit: int) -> Terms[bytes]:
    """Return the terms that members of an object say; see `read_terms`."""
    otherwise: Outcome[bytes] | None = None
    if (text := given(members, "otherwise")) is not None:
        outcome = split(text)
        otherwise = outcome_of(outcome, limit)
        if otherwise is None or len(outcome) > 1:
            raise InvalidTermsError(
                "'otherwise' is an object with a 'value' or an 'error' alone, such as "
                '{"error": "too late"}'
            )
    data = given(members, "data")
    notify = given(members, "notify")
    deadline, within = _deadline(members)
    return Terms(
        deadline=deadline,
        otherwise=otherwise,
        tags=_tags(members),
        data=None if data is None else check_text(data, limit),
        within=within,
        notify=() if notify is None else read_callbacks(notify),
    )


def _deadline(members: Members) -> tuple[datetime | None, timedelta | None]:
    """Return a deadline, and how far away it is where that is what was asked for."""
    text = given(members, "deadline")
    if text is None or text.startswith(b'"'):
        return moment_of(members, "deadline"), None
    try:
        within = timedelta(seconds=float(text))
    except (ValueError, OverflowError):
        raise InvalidTermsError(
            f"{quoted(text[:100].decode(errors='replace'))} is not a valid deadline; "
            "write seconds from now as a number, or a moment as RFC 3339 does, such as "
            '"2026-11-26T14:30:00Z"'
        ) from None
    return moment_after(now(), within), within


def _tags(members: Members) -> dict[str, str]:
    text = given(members, "tags")
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
