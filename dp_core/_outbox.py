"""
The outbox of callbacks, which is promises: *deliveries*, one for each URL of a promise.

Where the store is, `create_with_callbacks` makes the deliveries first and the promise
after them, with terms that name them. So where there are such terms there are the
deliveries, wherever a creator died. Only the terms that stand say which deliveries
count. A server makes the callbacks. docs/explanation/callbacks.md goes through it step
by step.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from hashlib import sha256
from secrets import token_hex
from typing import Any, Final, final

from dp_core._clock import now
from dp_core._errors import BackendError, NotSupportedError
from dp_core._ids import DELIVERY_IDS
from dp_core._states import Outcome, Pending, Rejected
from dp_core._terms import (
    MAX_TAG_BYTES,
    Callback,
    Page,
    PromiseInfo,
    Query,
    Terms,
    is_reserved,
)
from dp_core.backend import Backend, Registry, WireBackend
from dp_core.values import decode, encode

__all__ = [
    "DELIVERIES",
    "DISPOSED",
    "NOT_ASKED_FOR",
    "Delivery",
    "create_with_callbacks",
    "delivery_of",
    "dispose_with_deliveries",
    "end_delivery",
    "named_by",
    "terms_of_delivery",
    "without_deliveries",
]

_KIND: Final = "dp.kind"

DELIVERIES: Final = {_KIND: "delivery"}
"""The tag by which deliveries are found."""

NOT_ASKED_FOR: Final = Rejected("not asked for")
"""The outcome of a delivery that the terms of its promise do not name."""

DISPOSED: Final = Rejected("its promise was disposed of")
"""The outcome of a delivery that was not finished when its promise ended."""

_PATIENCE: Final = timedelta(seconds=5)
"""The time of a create in which no server can have given up its deliveries."""


@final
@dataclass(frozen=True, slots=True)
class Delivery:
    """
    A delivery, as it says itself; whether it counts is for its promise to say.

    Attributes:
        id: The id of the delivery.
        of: The id of its promise.
        to: The URL.
    """

    id: str
    of: str
    to: str


def terms_of_delivery(of: str, to: str) -> Terms[bytes]:
    """
    Return the terms of a delivery.

    Tags are to find it by. As a tag is short, what is longer is there by its hash, and
    whole in the data.
    """
    return Terms(tags=_tags(of, to), data=encode({"of": of, "to": to}))


def _tags(of: str, to: str) -> dict[str, str]:
    return {**DELIVERIES, "dp.of": _tag(of), "dp.to": _tag(to)}


def _tag(text: str) -> str:
    if len(text.encode()) <= MAX_TAG_BYTES:
        return text
    return f"sha256:{sha256(text.encode()).hexdigest()}"


def delivery_of(info: PromiseInfo[bytes]) -> Delivery | None:
    """Return a promise as a delivery; None if it is none."""
    terms = info.terms
    if terms is None or not _is_delivery(info) or terms.data is None:
        return None
    match decode(terms.data):
        case {"of": str(of), "to": str(to)} if terms.tags == _tags(of, to):
            return Delivery(info.id, of, to)
    return None


def _is_delivery(info: PromiseInfo[Any]) -> bool:
    return info.terms is not None and DELIVERIES.items() <= info.terms.tags.items()


def without_deliveries(query: Query, page: Page) -> Page:
    """Return a page as listings show it: deliveries only where tags ask for them."""
    if any(map(is_reserved, query.tags)):
        return page
    return replace(page, infos=tuple(i for i in page.infos if not _is_delivery(i)))


# What creates and disposes of promises ------------------------------------------


async def create_with_callbacks(
    backend: Backend, registry: Registry, id: str, asked: Terms[bytes]
) -> Terms[bytes]:
    """
    Give a promise its terms, as `Registry.create` does, and first make its deliveries.

    A server makes those of its store itself, so it is asked for URLs.

    Raises:
        NotSupportedError: The store keeps no callbacks.
        BackendError: The store could not be asked.
    """
    if not asked.notify or isinstance(backend, WireBackend):
        return await registry.create(id, asked)
    known = (await registry.info(id)).terms
    if known is not None:
        return replace(known, is_first=False)
    minted = tuple(Callback(each.url, _new_id()) for each in asked.notify)
    began = now()
    for each in minted:
        await registry.create(str(each.delivery), terms_of_delivery(id, each.url))
    asked = replace(asked, notify=minted)
    stands = await registry.create(id, asked)
    if named_by(stands) == named_by(asked):
        if abs(now() - began) > _PATIENCE:
            await _renew(backend, registry, id, minted)
        return stands
    # Others were faster. These can be named by no other terms, now or later.
    for each in minted:
        await end_delivery(backend, registry, str(each.delivery), NOT_ASKED_FOR)
    if not stands.notify and stands.is_first:
        raise NotSupportedError(
            "the store keeps no callbacks: it has created the promise without them; "
            "upgrade its backend, or leave out 'notify'"
        )
    return stands


def _new_id() -> str:
    return f"{DELIVERY_IDS}{token_hex(16)}"


def named_by(terms: Terms[Any] | None) -> dict[str, str]:
    """Return the URLs of the deliveries that terms name, by the deliveries' ids."""
    callbacks = () if terms is None else terms.notify
    return {each.delivery: each.url for each in callbacks if each.delivery is not None}


async def _renew(
    backend: Backend, registry: Registry, id: str, minted: tuple[Callback, ...]
) -> None:
    """Make those deliveries anew that a server gave up before the terms stood."""
    for each in minted:
        delivery = str(each.delivery)
        if (await backend.peek(delivery)) == NOT_ASKED_FOR:
            await backend.dispose(delivery)
            await registry.create(delivery, terms_of_delivery(id, each.url))


async def dispose_with_deliveries(backend: Backend, id: str) -> None:
    """
    Dispose of a promise, as `Backend.dispose` does, and then end its deliveries.

    Unfinished ones are rejected, finished ones are disposed of. Where this is cut short
    after the disposal, a server rejects the first, and the others stay.
    """
    if isinstance(backend, WireBackend) or not isinstance(backend, Registry):
        await backend.dispose(id)
        return
    try:
        named = named_by((await backend.info(id)).terms)
    except BackendError:
        # What is damaged can be disposed of all the same.
        named = {}
    await backend.dispose(id)
    for delivery in named:
        won = await end_delivery(backend, backend, delivery, DISPOSED)
        if won is not None and won != DISPOSED:
            await backend.dispose(delivery)


async def end_delivery(
    backend: Backend, registry: Registry, id: str, outcome: Outcome[bytes]
) -> Outcome[bytes] | None:
    """
    Settle a delivery; return its outcome, or None if it is gone.

    One that was disposed of is not brought back as a promise of nothing.
    """
    before = await registry.info(id)
    if before.terms is None:
        return None
    if not isinstance(before.state, Pending):
        return before.state
    won = await backend.settle(id, outcome)
    if (await registry.info(id)).terms is None:
        await backend.dispose(id)
        return None
    return won
