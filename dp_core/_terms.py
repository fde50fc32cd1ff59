"""
`Terms` of a promise, what a store knows about it, and the rule of deadlines.

Rule 1: terms are given to a generation once; the first ones stand.

Rule 2: a deadline is one more settler. Whoever looks at a pending promise after its
deadline settles it with ``otherwise``, by the same door as everybody, and only then
answers. So the first outcome wins here, too: a clock decides when, never what.

`expiry` is the only place that compares a deadline with a clock.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Generic, Literal, TypeVar, final, get_args

from dp_core._errors import BackendError, InvalidQueryError, InvalidTermsError
from dp_core._notify import Callback, check_callbacks
from dp_core._states import SETTLED, Outcome, Pending, Rejected, State
from dp_core._text import quoted, shown

__all__ = [
    "DEADLINE_PASSED",
    "MAX_TAGS",
    "MAX_TAG_BYTES",
    "Page",
    "PromiseInfo",
    "Query",
    "StateName",
    "Terms",
    "check_name",
    "check_tags",
    "expiry",
    "is_reserved",
    "is_text",
    "moment_after",
    "refuse_reserved",
    "state_name",
]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

MAX_TAGS: Final = 32
"""The most tags of a promise."""

MAX_TAG_BYTES: Final = 256
"""The longest key or value of a tag, and name of a settler, in bytes of UTF-8."""

DEADLINE_PASSED: Final = Rejected("deadline passed")
"""The outcome of a promise after its deadline where its terms name no other."""

RESERVED: Final = "dp."
"""The beginning of the keys of the library's own tags."""

StateName = Literal["pending", "resolved", "rejected"]
"""A state in one word."""


@final
@dataclass(frozen=True, slots=True)
class Terms(Generic[T_co]):
    """
    Deadline, tags, data and callbacks that a promise was created with.

    For a `Backend`, ``data`` and the value of ``otherwise`` are JSON text as bytes.

    Attributes:
        deadline: When it settles by itself, in UTC, whole milliseconds (rounded up);
            None for never.
        otherwise: What it settles to then, by default `DEADLINE_PASSED`; None
            without a deadline.
        tags: What it can be found by: at most 32, see `check_tags`.
        data: JSON for whoever settles it; None if there is none.
        notify: Who is told once it is settled, in the order of their URLs.
        within: How far away the deadline was when it was asked for; None where a
            moment was named, and in terms that stand. No part of the equality.
        is_first: Whether the create that returned them has given them; None where the
            store does not say, and in all other terms. No part of the equality. After
            an answer was lost and the create repeated it may be False, though the
            first attempt has given them.

    Raises:
        InvalidTermsError: They cannot be the terms of a promise.
    """

    deadline: datetime | None = None
    otherwise: Outcome[T_co] | None = None
    tags: Mapping[str, str] = field(default_factory=dict, hash=False)
    data: Any = field(default=None, hash=False)
    notify: tuple[Callback, ...] = field(default=(), kw_only=True)
    within: timedelta | None = field(default=None, compare=False, kw_only=True)
    is_first: bool | None = field(default=None, compare=False, kw_only=True, repr=False)

    def __post_init__(self) -> None:
        if self.deadline is not None:
            object.__setattr__(self, "deadline", _whole(self.deadline))
            if self.otherwise is None:
                object.__setattr__(self, "otherwise", DEADLINE_PASSED)
        elif self.otherwise is not None or self.within is not None:
            raise InvalidTermsError(
                "'otherwise' is for after the deadline, and there is none; give one, "
                "such as deadline=timedelta(days=3)"
            )
        if not isinstance(self.otherwise, (*SETTLED, type(None))):
            raise InvalidTermsError(
                f"'otherwise' is not an outcome: {shown(self.otherwise)}; write "
                "dp_core.Rejected('too late') or dp_core.Resolved(value)"
            )
        object.__setattr__(self, "tags", check_tags(self.tags))
        if self.notify:
            object.__setattr__(self, "notify", check_callbacks(self.notify))

    def given_at(self, moment: datetime) -> Terms[T_co]:
        """
        Return them as they stand after a store gave them, at *moment* of its clock.

        Raises:
            InvalidTermsError: The deadline is out of the calendar.
        """
        if self.within is None:
            return self
        return replace(self, deadline=moment_after(moment, self.within), within=None)


def moment_after(moment: datetime, within: timedelta) -> datetime:
    """
    Return the deadline that is so far from a moment.

    Raises:
        InvalidTermsError: It is out of the calendar.
    """
    try:
        return moment + within
    except OverflowError:
        raise _out_of_calendar() from None


def _out_of_calendar() -> InvalidTermsError:
    return InvalidTermsError(
        "the deadline is not within the years 1 to 9999; leave it out for never"
    )


def _whole(moment: object) -> datetime:
    """Return a moment in UTC and whole milliseconds, rounded up."""
    if not isinstance(moment, datetime):
        raise InvalidTermsError(
            f"{shown(moment)} is not a valid deadline; write a timedelta from now, "
            "such as timedelta(days=3), or a datetime with a time zone"
        )
    if moment.utcoffset() is None:
        raise InvalidTermsError(
            f"the deadline {moment.isoformat()} has no time zone; write "
            "datetime.now(UTC) instead of datetime.now(), or a timedelta from now"
        )
    try:
        moment = moment.astimezone(UTC)
        return moment + timedelta(microseconds=-moment.microsecond % 1000)
    except OverflowError:
        raise _out_of_calendar() from None


def check_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """
    Return the tags, by their keys in order.

    At most `MAX_TAGS`; keys and values of at most `MAX_TAG_BYTES`, without NUL. A key
    is not empty and has no ":", "=" or control characters.

    Raises:
        InvalidTermsError: They are others.
    """
    if not isinstance(tags, Mapping):
        raise InvalidTermsError(
            f"tags are a mapping of strings, such as {{'order': '17'}}, "
            f"not {shown(tags)}"
        )
    if len(tags) > MAX_TAGS:
        raise InvalidTermsError(f"{len(tags):,} tags are over the limit of {MAX_TAGS}")
    for key, value in tags.items():
        check_name(key, "the key of a tag")
        check_name(value, f"the value of the tag {quoted(key)}", may_be_empty=True)
        if any(c in ":=" or unicodedata.category(c) == "Cc" for c in key):
            raise InvalidTermsError(
                f"the key of a tag, {quoted(key)}, has ':', '=' or a control "
                "character in it"
            )
    return dict(sorted(tags.items()))


def refuse_reserved(tags: Mapping[str, str]) -> None:
    """
    Refuse tags that are the library's own.

    Raises:
        InvalidTermsError: One of them is.
    """
    if mine := [key for key in tags if is_reserved(key)]:
        raise InvalidTermsError(
            f"the tag {quoted(mine[0])} begins with {RESERVED!r}, as the library's own "
            "do; choose another key"
        )


def is_reserved(key: str) -> bool:
    """Tell whether the key of a tag is the library's own."""
    return key.startswith(RESERVED)


def check_name(name: object, what: str, *, may_be_empty: bool = False) -> str:
    """
    Return a text if it can be a part of a tag, or name a settler.

    Args:
        name: The text.
        what: Names it in the error.
        may_be_empty: Whether an empty one is allowed.

    Raises:
        InvalidTermsError: It is not Unicode text of at most `MAX_TAG_BYTES`.
    """
    if not isinstance(name, str):
        raise InvalidTermsError(
            f"{what} is not a string: {shown(name)}; write it as one, such as '17'"
        )
    if not is_text(name):
        raise InvalidTermsError(f"{what} has a lone surrogate in it")
    size = len(name.encode())
    if size > MAX_TAG_BYTES:
        raise InvalidTermsError(
            f"{what} has {size:,} bytes, over the limit of {MAX_TAG_BYTES}"
        )
    if not (name or may_be_empty):
        raise InvalidTermsError(f"{what} is empty")
    if "\0" in name:
        raise InvalidTermsError(f"{what} has NUL in it")
    return name


def is_text(text: str) -> bool:
    """Tell whether a string is Unicode text, without lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def expiry(terms: Terms[T] | None, now: datetime) -> Outcome[T] | None:
    """
    Return what a pending promise settles to by its deadline; None if it does not yet.

    Args:
        terms: The terms that stand; None if it was not created.
        now: The time, see `dp_core.backend.now`.
    """
    if terms is None or terms.deadline is None or now < terms.deadline:
        return None
    return terms.otherwise


@final
@dataclass(frozen=True, slots=True)
class PromiseInfo(Generic[T_co]):
    """
    All that a store knows about a promise.

    Attributes:
        id: The promise's id.
        state: Its state.
        terms: Its terms; None if it was not created.
        created_at: When it was created, as its creator's clock said; None if it was
            not.
        settled_at: When it was settled, as its settler's clock said; None if it is
            pending. Clocks differ, so it may be before ``created_at``.
        settled_by: Who settled it, as they said; None if nobody did, or did not say.
        expired: Whether its deadline settled it, and nobody else.
        cursor: Its place in the order of the store, for ``list(after=…)``; None if it
            is not listed, because it was neither created nor settled.
    """

    id: str
    state: State[T_co]
    terms: Terms[T_co] | None = None
    created_at: datetime | None = None
    settled_at: datetime | None = None
    settled_by: str | None = None
    expired: bool = False
    cursor: str | None = None


def state_name(state: State[object]) -> StateName:
    """Return a state in one word."""
    if isinstance(state, Pending):
        return "pending"
    return "rejected" if isinstance(state, Rejected) else "resolved"


@final
@dataclass(frozen=True, slots=True)
class Query:
    """
    Question for promises of a store: those that have all of this.

    Attributes:
        state: Those in this state; None for all.
        tags: Those that have all of these tags.
        prefix: Those whose ids begin with this text.
        newest: Whether the newest come first; else the oldest.
        ids: Those whose id is one of these, or begins with the text before a final
            ``*``; None for all. These are the patterns of an access token.

    Raises:
        InvalidQueryError: No promise can be found by this.
    """

    state: StateName | None = None
    tags: Mapping[str, str] = field(default_factory=dict, hash=False)
    prefix: str = ""
    newest: bool = False
    ids: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.state not in (None, *get_args(StateName)):
            raise InvalidQueryError(
                f"{shown(self.state)} is not a valid state; write 'pending', "
                "'resolved' or 'rejected'"
            )
        if not isinstance(self.prefix, str):
            raise InvalidQueryError(f"a prefix is a string, not {shown(self.prefix)}")
        if not is_text(self.prefix):
            raise InvalidQueryError("a prefix has a lone surrogate in it")
        try:
            object.__setattr__(self, "tags", check_tags(self.tags))
        except InvalidTermsError as error:
            raise InvalidQueryError(error.reason) from None

    def matches(self, info: PromiseInfo[Any]) -> bool:
        """Tell whether a promise is one of those."""
        tags = info.terms.tags if info.terms is not None else {}
        return (
            self.state in (None, state_name(info.state))
            and self.matches_id(info.id)
            and all(tags.get(key) == value for key, value in self.tags.items())
        )

    def matches_id(self, id: str) -> bool:
        """Tell whether a promise of that id may be one of those."""
        return id.startswith(self.prefix) and (
            self.ids is None
            or any(
                id.startswith(p[:-1]) if p.endswith("*") else id == p for p in self.ids
            )
        )


@final
@dataclass(frozen=True, slots=True)
class Page:
    """
    Some of the promises of a listing, in the order of the store.

    Attributes:
        infos: The promises; there may be none although more follow.
        after: Where to go on, in the store's own words; None at the end.
        failures: The promises in between that cannot be read, by their ids or by the
            store's own names for them, and why.
    """

    infos: tuple[PromiseInfo[bytes], ...]
    after: str | None
    failures: tuple[tuple[str, BackendError], ...] = ()
