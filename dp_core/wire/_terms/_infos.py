"""`write_info`, `read_info`: what is known about a promise, as JSON."""

from __future__ import annotations

from dataclasses import replace

from dp_core._errors import ProtocolError
from dp_core._states import Outcome, Pending, Resolved, State
from dp_core._terms import PromiseInfo, state_name
from dp_core.values import MAX_VALUE_BYTES, encode, say_the_same
from dp_core.wire._terms._moments import moment_of, write_moment
from dp_core.wire._terms._objects import (
    NULL,
    given,
    split,
    text_of,
    truth_of,
    write_object,
)
from dp_core.wire._terms._outcomes import outcome_members, outcome_of
from dp_core.wire._terms._terms import ASKED, TERMS, public_members, terms_of

__all__ = ["read_info", "write_info"]


def write_info(info: PromiseInfo[bytes]) -> bytes:
    """Return what is known about a promise as a JSON object; see `read_info`."""
    members = {"promiseId": encode(info.id), "state": encode(state_name(info.state))}
    if not isinstance(info.state, Pending):
        members |= outcome_members(info.state)
    members |= (
        dict.fromkeys(TERMS, NULL) if info.terms is None else public_members(info.terms)
    )
    for key, moment in (("createdAt", info.created_at), ("settledAt", info.settled_at)):
        members[key] = NULL if moment is None else encode(write_moment(moment))
    members["settledBy"] = encode(info.settled_by)
    members["expired"] = encode(info.expired)
    members["cursor"] = encode(info.cursor)
    return write_object(members)


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
    by = text_of(members, "settledBy")
    state: State[bytes] = Pending()
    if (outcome := outcome_of(members, limit)) is not None:
        state = replace(outcome, by=by)
    if state_name(state) != text_of(members, "state"):
        raise ProtocolError(400, "the state of a promise is another than its outcome")
    id = text_of(members, "promiseId")
    if id is None:
        raise ProtocolError(400, "'promiseId' is missing")
    created_at = moment_of(members, "createdAt")
    if created_at is None and any(given(members, key) for key in ASKED):
        raise ProtocolError(400, "it has terms, and was not created")
    info = PromiseInfo(
        id=id,
        state=state,
        terms=None if created_at is None else terms_of(members, limit),
        created_at=created_at,
        settled_at=moment_of(members, "settledAt"),
        settled_by=by,
        expired=truth_of(members, "expired"),
        cursor=text_of(members, "cursor"),
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
