"""Laws that can neither hold nor be broken: tried with more time, and never passed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import anyio
import pytest

from dp_core import NotSupportedError, Outcome
from dp_core.backend import Told, now
from dp_core.testing import LAWS, ConformanceError, Law, Report, check_backend
from dp_core.testing.kit import SETTLE, LawContext, law
from mutants.contract.registered import Record, Registered, RegistryStore
from support.core.kit import QUICK, Store

EARLY = LAWS["early-settles-stay"]


class Slow(Registered):
    """A store whose settles come after a moment, or after the deadline."""

    seconds: float | None = None

    async def settle(self, id: str, outcome: Outcome[bytes]) -> Outcome[bytes]:
        terms = self.store.record(id).terms
        pause = self.seconds
        if pause is None and terms is not None and terms.deadline is not None:
            pause = (terms.deadline - now()).total_seconds()
        await anyio.sleep(max(pause or 0.0, 0.0))
        return await super().settle(id, outcome)


async def judged(kind: type[Registered], *laws: Law) -> Report:
    """Return the report on a store."""
    store = RegistryStore()
    try:
        return await check_backend(
            lambda: kind(store),
            durable=True,
            shared=True,
            laws=laws or [EARLY],
            effort=QUICK,
            seed=1,
        )
    except ConformanceError as error:
        return error.report


@pytest.mark.slow
async def test_a_law_without_a_chance_is_not_passed() -> None:
    """A store that is always too slow to settle in time is not said to be right."""
    report = await judged(Slow)

    assert () == report.passed == report.violations
    [(name, reason)] = report.skipped
    assert EARLY.name == name
    assert "not judged: " in reason
    assert "0.4 s" in reason
    assert f"skipped {name}: not judged" in str(report)


@pytest.mark.slow
async def test_a_slow_store_is_given_more_time() -> None:
    """What it breaks is seen all the same."""

    class SettlesAgain(Slow):
        seconds = 0.12

        def settle_if_over(self, record: Record) -> None:
            over = record.terms is not None and record.terms.deadline
            if record.outcome is not None and over and over < now():
                record.outcome = record.terms and record.terms.otherwise
            super().settle_if_over(record)

    assert [EARLY.name] == [v.law for v in (await judged(SettlesAgain)).violations]
    right = type("RightAndSlow", (Slow,), {"seconds": 0.12})
    assert (EARLY.name,) == (await judged(right)).passed


async def test_a_deadline_that_comes_at_once_is_not_slowness() -> None:
    """A store on which nobody can be in time breaks the law."""

    class AtOnce(Registered):
        def settle_if_over(self, record: Record) -> None:
            terms = record.terms
            otherwise = None if terms is None else terms.otherwise
            if record.outcome is None and otherwise is not None:
                self.become(record, otherwise)
            super().settle_if_over(record)

    [violation] = (await judged(AtOnce)).violations
    assert "a deadline that was not over" in violation.reason


@law(SETTLE)
async def nothing_is_right(context: LawContext) -> None:
    """It is broken by all stores, so that the judge is in a hurry from then on."""
    raise context.broken("so it is")


@law(SETTLE)
async def patience_is_needed(context: LawContext) -> None:
    """It cannot be judged by who is in a hurry."""
    if context.run.patience < QUICK.patience:
        raise context.not_judged("there was no time")


async def test_who_was_in_a_hurry_tries_again() -> None:
    """With all its patience, as for every law for which that ran out."""
    report = await judged(Registered, nothing_is_right, patience_is_needed)

    assert (("patience-is-needed",), ()) == (report.passed, report.skipped)
    assert ["nothing-is-right"] == [violation.law for violation in report.violations]


@pytest.mark.parametrize("error", [NotSupportedError("none"), ValueError("x")])
async def test_a_store_that_cannot_be_watched_is_not_judged(error: Exception) -> None:
    """Its `watch` raises `NotSupportedError`; at any other error the laws are tried."""

    class Unwatched(Store):
        @asynccontextmanager
        async def watch(self, ids: object) -> AsyncIterator[AsyncIterator[Told]]:
            raise error
            yield

    name = "watches-tell-each-once"
    check = partial(
        check_backend, Unwatched, durable=True, shared=False, laws=[LAWS[name]]
    )
    if isinstance(error, NotSupportedError):
        reason = "the backend has no `watch` of its own, or its store no streams"
        assert [(name, f"{reason} (watch)")] == [*(await check()).skipped]
    else:
        with pytest.raises(ConformanceError, match=name):
            await check()
