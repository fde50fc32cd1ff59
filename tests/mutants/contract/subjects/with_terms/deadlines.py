"""Mutants that settle promises by their deadlines wrongly."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import anyio

from dp_core import Pending, PromiseInfo, Query, Resolved
from dp_core.backend import Page, expiry, now
from mutants.contract.registered import Record, Registered
from mutants.contract.registry import mutant
from mutants.contract.right import Outcome_, State_

FAR_AWAY = datetime(2999, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@mutant(
    "deadlines-settle-whoever-asks",
    "expiry that a janitor does: Redis before a key is looked at, DynamoDB's TTL",
)
class OnlyAJanitorSettles(Registered):
    """A promise is shown pending after its deadline, until somebody waits for it."""

    def look(self, id: str) -> State_:
        outcome = self.store.record(id).outcome
        return Pending() if outcome is None else outcome


@mutant(
    "deadlines-settle-whoever-asks",
    "expires_at compared where a row is read, by nobody who writes it",
    alone=True,
)
class ExpiryIsNotSaid(Registered):
    """A promise that its deadline has settled does not say so."""

    def tell(self, record: Record) -> PromiseInfo[bytes]:
        return replace(super().tell(record), expired=False)


@mutant(
    "deadlines-settle-who-is-listed",
    "SELECT … WHERE state = 'pending', without the deadline",
    alone=True,
)
class ListsTheOverdue(Registered):
    """A list of pending promises has those whose deadlines are over."""

    def page(self, query: Query, after: str | None, limit: int) -> Page:
        before = {id: self.state_of(id) for id in self.store.entries}
        page = super().page(replace(query, state=None), after, limit)
        infos = tuple(
            replace(info, state=before[info.id])
            for info in page.infos
            if query.matches(replace(info, state=before[info.id]))
        )
        return replace(page, infos=infos)

    def state_of(self, id: str) -> State_:
        outcome = self.store.record(id).outcome
        return Pending() if outcome is None else outcome


@mutant(
    "late-settles-lose",
    "UPDATE … WHERE state = 'pending': the state of a row whose deadline is over",
)
class SettlesWhatIsOver(Registered):
    """A settle wins as long as nobody has looked since the deadline."""

    def put(self, id: str, outcome: Outcome_) -> Outcome_:
        record = self.store.record(id)
        if record.outcome is None:
            self.become(record, outcome)
        return super().put(id, outcome)


@mutant(
    "late-settles-lose",
    "leeway for clocks that differ, as in the checks of access tokens",
    alone=True,
)
class DefaultsComeLater(Registered):
    """Who is a second late wins, where the deadline would have resolved the promise."""

    def put(self, id: str, outcome: Outcome_) -> Outcome_:
        record = self.store.record(id)
        terms = record.terms
        if terms is not None and terms.deadline is not None:
            late = now() - terms.deadline
            is_default = isinstance(terms.otherwise, Resolved)
            if record.outcome is None and is_default and late < SECOND:
                self.become(record, outcome)
        return super().put(id, outcome)


@mutant(
    "early-settles-stay",
    "a flag that is computed from the time: overdue, though it was paid",
    alone=True,
)
class ExpiredByTheClock(Registered):
    """A promise that was settled in time has expired when its deadline is over."""

    def tell(self, record: Record) -> PromiseInfo[bytes]:
        info = super().tell(record)
        created, deadline = info.created_at, info.terms and info.terms.deadline
        if created is not None and deadline and created < deadline < now():
            return replace(info, expired=True)
        return info


@mutant(
    "early-settles-stay",
    "timers that are not stopped when the work is done",
)
class TimerIsNotStopped(Registered):
    """The deadline settles again what was settled before it."""

    def settle_if_over(self, record: Record) -> None:
        outcome = expiry(record.terms, now())
        early = record.settled_at, record.terms and record.terms.deadline
        if outcome is not None and early[0] and early[1] and early[0] < early[1]:
            created = record.created_at
            if created is not None and early[0] > created:
                record.outcome = outcome
        super().settle_if_over(record)


@mutant(
    "deadlines-settle-once",
    "clients that show an item as expired by their own clock",
)
class OverForReadersOnly(Registered):
    """A reader is shown what the deadline will settle, and nothing is settled."""

    def settle_if_over(self, record: Record) -> None:
        """Leave it to whoever looks."""

    def look(self, id: str) -> State_:
        record = self.store.record(id)
        over = None if record.outcome else expiry(record.terms, now())
        return super().look(id) if over is None else over


@mutant(
    "deadlines-settle-once",
    "the time of arrival, taken by a gateway, decides who was in time",
    alone=True,
)
class InTimeWhenItCame(Registered):
    """A settle that came in time wins although others were told of the deadline."""

    async def settle(self, id: str, outcome: Outcome_) -> Outcome_:
        await self.turn()
        record = self.store.record(id)
        terms = record.terms
        in_time = terms and terms.deadline and now() < terms.deadline
        if in_time and record.outcome is None:
            await anyio.sleep(0.15)
            if record.expired:
                record.outcome = outcome
        return self.put(id, outcome)


@mutant(
    "waiters-hear-of-deadlines",
    "select() with the time-out of the moment when it was called",
    alone=True,
)
class TimersAreSetOnce(Registered):
    """A waiter looks at the deadline when it begins to wait, and never again."""

    async def wait(self, id: str) -> Outcome_:
        await self.turn()
        record = self.store.record(id)
        self.settle_if_over(record)
        pause = None
        if record.terms is not None and record.terms.deadline is not None:
            pause = (record.terms.deadline - now()).total_seconds() + 0.01
        with anyio.move_on_after(pause):
            await record.over.wait()
        self.settle_if_over(record)
        await record.over.wait()
        return record.result(id)


@mutant(
    "deadlines-survive-reopening",
    "timers in the process that has set them: setTimeout, loop.call_later",
    alone=True,
)
class TimersOfTheProcess(Registered):
    """A deadline that comes while no handle is open never settles anything."""

    async def aclose(self) -> None:
        handles = self.store.handles = self.store.handles - {self}
        if not handles:
            for record in self.store.in_order():
                if record.outcome is None and record.terms is not None:
                    record.terms = replace(
                        record.terms,
                        deadline=record.terms.deadline
                        and max(record.terms.deadline, FAR_AWAY),
                    )
        await super().aclose()

    async def turn(self) -> None:
        self.store.handles |= {self}
        await super().turn()
