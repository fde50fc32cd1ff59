"""Laws may be broken in more than one way; each has a word of its own in the report."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from dp_core import Pending, PromiseInfo, Query
from dp_core.backend import Page
from dp_core.testing import LAWS, ConformanceError, check_backend
from mutants.contract.registered import Registered, RegistryStore
from support.core.kit import QUICK

DAY = timedelta(days=1)


@pytest.fixture
def anyio_backend() -> str:
    """Run once: what the kit says does not depend on the loop."""
    return "asyncio"


class InfoIsLate(Registered):
    """Tells a promise as pending until somebody else has looked at it."""

    async def info(self, id: str) -> PromiseInfo[bytes]:
        record = self.store.record(self.key(id))
        if record.outcome is None:
            return PromiseInfo(id, Pending(), record.terms, record.created_at)
        return await super().info(id)


class LongPages(Registered):
    """Puts more on a page than was asked for."""

    async def list(self, query: Query, after: str | None, limit: int) -> Page:
        return await super().list(query, after, limit + 1)


class EndlessPages(Registered):
    """Tells the first page again and again."""

    async def list(self, query: Query, after: str | None, limit: int) -> Page:
        return replace(await super().list(query, None, limit), after="again")


class KnowsTooMuch(Registered):
    """Says that a promise was created of which nobody has said anything."""

    async def info(self, id: str) -> PromiseInfo[bytes]:
        record = self.store.record(self.key(id))
        if record.terms is None and record.outcome is None:
            return PromiseInfo(id, Pending(), cursor="1")
        return await super().info(id)


class SettledAtOnce(Registered):
    """Says when a promise was settled before it was."""

    async def info(self, id: str) -> PromiseInfo[bytes]:
        info = await super().info(id)
        if info.terms is None:
            return info
        return replace(info, settled_at=info.created_at)


class AnotherCentury(Registered):
    """Has a clock that is years away, and says so as if it were now."""

    async def info(self, id: str) -> PromiseInfo[bytes]:
        info = await super().info(id)
        if info.created_at is None:
            return info
        return replace(info, created_at=info.created_at - 10_000 * DAY)


@pytest.mark.parametrize(
    ("kind", "law", "said"),
    [
        (InfoIsLate, "deadlines-settle-whoever-asks", "info does not say"),
        (LongPages, "queries-find-what-they-say", "has more"),
        (EndlessPages, "queries-find-what-they-say", "the listing has no end"),
        (EndlessPages, "listings-are-stable", "the listing has no end"),
        (KnowsTooMuch, "info-is-complete", "nobody has said anything about it yet"),
        (SettledAtOnce, "info-is-complete", "before it is settled"),
        (AnotherCentury, "info-is-complete", "it happened now, and not at"),
    ],
)
async def test_it_is_said_what_is_wrong(
    kind: type[Registered],
    law: str,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The report of a law has the words for this way to break it."""
    monkeypatch.setattr("dp_core.testing.laws.registry.listing._MAX_PAGES", 20)
    store = RegistryStore()

    with pytest.raises(ConformanceError) as caught:
        await check_backend(
            lambda: kind(store),
            durable=True,
            shared=True,
            laws=[LAWS[law]],
            effort=QUICK,
            seed=1,
        )

    (violation,) = caught.value.report.violations
    assert law == violation.law
    assert said in violation.reason
