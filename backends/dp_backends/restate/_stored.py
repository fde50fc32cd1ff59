"""
`Stored`: what Restate keeps of a promise, and what of it is over.

The keys of the object's state, beside those of its waiters:

=========== ==============================================================
``value``   the outcome, as the wire answers it; absent while pending
``settled`` ``{"at", "by", "expired"}`` of that outcome
``terms``   the terms, as the wire tells all about a promise that is pending
=========== ==============================================================

Only ``value`` is known to the reference's service.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, final

from restate import Context, ObjectContext, ObjectSharedContext

from dp_backends.restate._invocations import PENDING, RAW
from dp_core import (
    CorruptPromiseError,
    DurablePromiseError,
    InvalidTermsError,
    Outcome,
    Pending,
    PromiseInfo,
    ProtocolError,
    State,
    Terms,
)
from dp_core.backend import expiry, now, quoted
from dp_core.wire import (
    Peek,
    read_answer,
    read_info,
    read_moment,
    write_info,
    write_moment,
)

__all__ = [
    "SETTLED",
    "TERMS",
    "VALUE",
    "Stored",
    "at_deadline_text",
    "clock",
    "created_text",
    "how_far_ahead",
    "read_key",
    "read_settled",
    "refuse_callbacks",
    "settled_text",
]

VALUE: Final = "value"
SETTLED: Final = "settled"
TERMS: Final = "terms"


@final
@dataclass(frozen=True, slots=True)
class Stored:
    """
    A promise as the state of its object has it.

    Attributes:
        id: The promise's id.
        value: Its outcome, as the wire answers it; None while it is pending.
        created: What is known of it since it was created, as JSON; None if it was not.
    """

    id: str
    value: bytes | None
    created: bytes | None

    @classmethod
    async def read(cls, ctx: ObjectContext | ObjectSharedContext) -> Stored:
        """Read it; the terms only where they matter, of what is pending."""
        value = await read_key(ctx, VALUE)
        created = await read_key(ctx, TERMS) if value is None else None
        return cls(ctx.key(), value, created)

    @property
    def state(self) -> State[bytes]:
        """
        The promise's state.

        Raises:
            CorruptPromiseError: It is not an answer of the wire.
        """
        try:
            return read_answer(Peek(self.id), 200, self.value or PENDING)
        except ProtocolError as error:
            raise _damaged(self.id, error.reason) from None

    @property
    def info(self) -> PromiseInfo[bytes]:
        """
        Its terms, and when it was created, in an info that is pending otherwise.

        Raises:
            CorruptPromiseError: It is not what this service writes.
        """
        if self.created is None:
            return PromiseInfo(self.id, Pending())
        try:
            return read_info(self.created, len(self.created))
        except DurablePromiseError as error:
            raise _damaged(self.id, str(error)) from None

    async def expiry(self, ctx: Context) -> Outcome[bytes] | None:
        """Return what its deadline settles it to, if it is pending and that is over."""
        if self.value is not None or self.created is None:
            return None
        terms = self.info.terms
        if terms is None or terms.deadline is None:
            return None
        return expiry(terms, await clock(ctx))


async def read_key(ctx: ObjectContext | ObjectSharedContext, key: str) -> bytes | None:
    """Return what the state of the object has under a key."""
    text: bytes | None = await ctx.get(key, RAW)
    return text


def refuse_callbacks(terms: Terms[bytes]) -> None:
    """
    Refuse terms with callbacks, which nobody would make here.

    Raises:
        InvalidTermsError: They have such.
    """
    if terms.notify:
        raise InvalidTermsError(
            "promises of Restate make no callbacks; let a handler wait for the "
            "promise, and make the request"
        )


def created_text(id: str, terms: Terms[bytes], moment: datetime) -> bytes:
    """Return what is kept of a promise that is created at a moment."""
    return write_info(PromiseInfo(id, Pending(), terms, moment))


def settled_text(outcome: Outcome[bytes], moment: datetime, *, expired: bool) -> bytes:
    """Return what is kept beside an outcome."""
    members = {"at": write_moment(moment), "by": outcome.by, "expired": expired}
    return json.dumps(members, ensure_ascii=False).encode()


def read_settled(text: bytes | None) -> tuple[datetime | None, str | None, bool]:
    """Return when, by whom, and whether by its deadline a promise was settled."""
    if text is None:
        # By the reference's service, or an older version of ours.
        return None, None, False
    members = json.loads(text)
    return read_moment(members["at"]), members["by"], members["expired"]


def at_deadline_text(deadline: datetime, now: datetime, ahead: timedelta) -> bytes:
    """Return the body of the call that Restate is asked to make at a deadline."""
    sent, ms = write_moment(now), timedelta(milliseconds=1)
    return json.dumps([write_moment(deadline), sent, ahead / ms]).encode()


def how_far_ahead(
    body: bytes, deadline: datetime, moment: datetime
) -> timedelta | None:
    """
    Return by how much Restate's clock must be ahead of ours; at least 0.

    A call that comes before its deadline shows it. Without an answer to that, it would
    come again and again until the clocks have met.

    Args:
        body: What the call brought, see `at_deadline_text`.
        deadline: The deadline of the promise.
        moment: When the call came, by our clock.

    Returns:
        None for a call that was made for another deadline, of a former generation, or
        by a stranger.
    """
    try:
        named, sent_text, ms = json.loads(body)
        sent, before = read_moment(sent_text), timedelta(milliseconds=ms)
        if read_moment(named) != deadline:
            return None
    except (ValueError, TypeError, OverflowError, DurablePromiseError):
        return None
    ahead = max(deadline + before - moment, timedelta())
    # A call that comes at once was due before it was made: it is at least that much.
    return ahead if moment - sent > _AT_ONCE else ahead * _MORE


_AT_ONCE: Final = timedelta(seconds=1)

_MORE: Final = 1.05
"""Part by which to be called later than need be, so that few calls are too early."""


async def clock(ctx: Context) -> datetime:
    """Return the time of this process, the same each time the invocation is run."""
    return datetime.fromtimestamp(await ctx.run_typed("clock", _clock), UTC)


async def _clock() -> float:
    return now().timestamp()


def _damaged(id: str, reason: str) -> CorruptPromiseError:
    return CorruptPromiseError(
        f"what Restate keeps of promise {quoted(id)} is damaged ({reason}); "
        "dispose of it"
    )
