"""
`Stored`: what Restate keeps of a promise, and what of it is over.

The state of a key:

=============== ================================================================
``value``       the outcome, as the wire answers it; absent while pending
``settled``     ``{"at", "by", "expired"}`` of that outcome
``terms``       the terms, as the wire tells all about a promise that is pending
``waiter/{id}`` one for each waiter; the id is that of its awakeable
``listeners``   the awakeables of all waiters in one array, as the reference's
                service keeps them; read here, never written
=============== ================================================================

Name and form of ``value`` are the reference's, so that either service can take over
from the other on the same Restate; it does not know the others.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, final

from restate import Context, ObjectContext, ObjectSharedContext

from dp_backends.restate._awakeables import only_awakeables, read_names
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
    "WAITER",
    "Stored",
    "clock",
    "created_text",
    "read_all",
    "read_key",
    "read_settled",
    "refuse_callbacks",
    "settled_text",
]

VALUE: Final = "value"
SETTLED: Final = "settled"
TERMS: Final = "terms"
WAITER: Final = "waiter/"
_LISTENERS: Final = "listeners"


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


async def read_all(ctx: ObjectContext) -> tuple[Stored, list[str]]:
    """
    Return what is stored of the promise, and the awakeables of the waiters.

    Each step is a record in the log. Most promises are settled before anybody
    waits for them, and then the first step, which reads the keys, is the only one.
    """
    keys = await ctx.state_keys()
    value = await read_key(ctx, VALUE) if VALUE in keys else None
    created = await read_key(ctx, TERMS) if TERMS in keys and not value else None
    waiters = [key.removeprefix(WAITER) for key in keys if key.startswith(WAITER)]
    if _LISTENERS in keys:
        listeners = await ctx.get(_LISTENERS, RAW)
        waiters += read_names(listeners or b"[]")
    awakeables = only_awakeables(waiters)
    # Older versions kept whatever they were given as the name of a waiter.
    for name in set(waiters).difference(awakeables):
        ctx.clear(WAITER + name)
    return Stored(ctx.key(), value, created), awakeables


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
