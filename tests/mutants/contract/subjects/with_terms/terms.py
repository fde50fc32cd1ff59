"""Mutants that keep the terms of promises wrongly."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

from anyio.lowlevel import checkpoint

from dp_core import BackendError, PromiseInfo, Resolved
from dp_core.backend import expiry, now
from mutants.contract.registered import Record, Registered, Terms_
from mutants.contract.registry import mutant
from mutants.contract.right import Outcome_

SECOND = timedelta(seconds=1)


@mutant("first-terms-stand", "PUT of a whole resource: the last request describes it")
class LastTermsStand(Registered):
    """A later create replaces the terms."""

    def give(self, id: str, terms: Terms_) -> Terms_:
        self.keep(self.store.record(id), terms)
        return terms


@mutant(
    "first-terms-stand",
    "INSERT … ON CONFLICT DO NOTHING, whose caller returns what it has sent",
)
class CreatorIsToldItsOwn(Registered):
    """The first terms stand, but every creator gets its own back."""

    def give(self, id: str, terms: Terms_) -> Terms_:
        super().give(id, terms)
        return terms


@mutant("first-terms-stand", "APIs that answer a repeated POST with 409 Conflict")
class SecondCreateRaises(Registered):
    """A create of what was created raises an error."""

    def give(self, id: str, terms: Terms_) -> Terms_:
        if self.store.record(id).terms is not None:
            raise BackendError("exists already")
        return super().give(id, terms)


@mutant("first-terms-stand", "merging of labels: kubectl apply adds to what is there")
class TagsAreMerged(Registered):
    """The tags of a later create are added to those that stand."""

    def give(self, id: str, terms: Terms_) -> Terms_:
        record = self.store.record(id)
        if record.terms is not None:
            record.terms = replace(
                record.terms, tags={**terms.tags, **record.terms.tags}
            )
        return super().give(id, terms)


@mutant(
    "first-terms-stand",
    "PATCH of a resource: the members of the last request stand",
    alone=True,
)
class DataIsReplaced(Registered):
    """The data of a later create stands."""

    def give(self, id: str, terms: Terms_) -> Terms_:
        record = self.store.record(id)
        if record.terms is not None and terms.data is not None:
            record.terms = replace(record.terms, data=terms.data)
        return super().give(id, terms)


@mutant(
    "racing-creators-agree",
    "201 Created where what is there is what was sent, whoever sent it",
    alone=True,
)
class EverybodyIsTheFirst(Registered):
    """Each creator is told that it has given the terms that stand."""

    def give(self, id: str, terms: Terms_) -> Terms_:
        return replace(super().give(id, terms), is_first=True)


@mutant("racing-creators-agree", "check-then-act: SELECT, and then INSERT")
class CreatesAfterALook(Registered):
    """Others may create a promise between the look and the write."""

    async def create(self, id: str, terms: Terms_) -> Terms_:
        await self.turn()
        standing = self.store.record(id).terms
        await checkpoint()
        if standing is None:
            self.keep(self.store.record(id), terms)
            return terms
        return standing


@mutant(
    "racing-creators-agree",
    "optimistic updates that are tried again a few times, and then taken for done",
    alone=True,
)
class GivesUpInACrowd(Registered):
    """A creator that meets twelve others is told its own terms."""

    creating = 0

    async def create(self, id: str, terms: Terms_) -> Terms_:
        type(self).creating += 1
        is_crowded = self.creating > 12
        try:
            stands = await super().create(id, terms)
        finally:
            type(self).creating -= 1
        return terms if is_crowded else stands


@mutant(
    "create-and-settle-commute",
    "upserts of a row that are skipped where it is not pending any more",
)
class SettledGetsNoTerms(Registered):
    """A promise that is settled keeps no terms; its creator is told that it does."""

    def give(self, id: str, terms: Terms_) -> Terms_:
        if self.store.record(id).outcome is not None:
            return terms
        return super().give(id, terms)


@mutant(
    "create-and-settle-commute",
    "job schedulers whose time-out also fails jobs that are done",
)
class DeadlineBeatsTheOutcome(Registered):
    """A deadline in the past replaces the outcome of a promise that was settled."""

    def keep(self, record: Record, terms: Terms_) -> None:
        super().keep(record, terms)
        if terms.deadline is not None and terms.deadline.year < 2010:
            record.outcome = terms.otherwise


@mutant(
    "create-and-settle-commute",
    "a status that is computed from the time, whatever the outcome: overdue, expired",
    alone=True,
)
class SettledHasExpired(Registered):
    """A promise that is settled, and then gets a deadline in the past, has expired."""

    def keep(self, record: Record, terms: Terms_) -> None:
        super().keep(record, terms)
        if record.outcome is not None:
            record.expired = expiry(terms, now()) is not None


@mutant(
    "create-is-atomic",
    "a lock that expires: SET NX EX in Redis, whose owner may still be there",
    alone=True,
)
class ClaimIsTakenOver(Registered):
    """Who has claimed a promise for long, and not created it yet, is taken for dead."""

    async def create(self, id: str, terms: Terms_) -> Terms_:
        record = self.store.record(id)
        for _ in range(30):
            if record not in self.store.claimed:
                break
            await self.turn()
        if record.terms is not None:
            await self.turn()
            return record.terms
        self.store.claimed.add(record)
        try:
            await self.turn()
        finally:
            self.store.claimed.discard(record)
        self.keep(record, terms)
        return terms


@mutant(
    "create-is-atomic",
    "a row for the promise and one for its terms, in two transactions",
)
class HalfACreate(Registered):
    """A create that is cancelled between its two steps can never be repeated."""

    async def create(self, id: str, terms: Terms_) -> Terms_:
        record = self.store.record(id)
        if record.terms is None and record.created_at is not None:
            raise BackendError("somebody is creating it")
        if record.terms is not None:
            await self.turn()
            return record.terms
        standing = self.give(id, terms)
        record.terms = None
        await self.turn()
        record.terms = standing
        return standing


@mutant("terms-come-back", "timestamps in whole seconds: SQL's DATETIME, time_t")
class WholeSeconds(Registered):
    """A deadline loses its milliseconds."""

    def keep(self, record: Record, terms: Terms_) -> None:
        if terms.deadline is not None and terms.deadline.year > 2900:
            deadline = terms.deadline.replace(microsecond=0)
            terms = replace(terms, deadline=deadline)
        super().keep(record, terms)


@mutant(
    "terms-come-back", "jsonb of PostgreSQL, which keeps what JSON means", alone=True
)
class DataIsParsed(Registered):
    """The data is parsed and written anew."""

    def keep(self, record: Record, terms: Terms_) -> None:
        if terms.data is not None:
            parsed = json.loads(terms.data)
            data = json.dumps(parsed, separators=(",", ":")).encode()
            terms = replace(terms, data=data)
        super().keep(record, terms)


@mutant("terms-come-back", "labels that are trimmed, as those of forms are", alone=True)
class TagsAreTrimmed(Registered):
    """White space around the values of tags is removed."""

    def keep(self, record: Record, terms: Terms_) -> None:
        tags = {key: value.strip() for key, value in terms.tags.items()}
        super().keep(record, replace(terms, tags=tags))


@mutant(
    "terms-survive-reopening",
    "tables of deadlines for a timer, and all else in the process",
    alone=True,
)
class TagsOfTheProcess(Registered):
    """Of the terms, only the deadline is there when the last handle is closed."""

    async def aclose(self) -> None:
        handles = self.store.handles = self.store.handles - {self}
        if not handles:
            for record in self.store.in_order():
                if record.terms is not None:
                    record.terms = replace(record.terms, tags={}, data=None)
        await super().aclose()

    async def turn(self) -> None:
        self.store.handles |= {self}
        await super().turn()


@mutant(
    "dispose-forgets-terms",
    "tables of terms that are not cleared with the table of outcomes",
    alone=True,
)
class TermsOutliveTheirPromise(Registered):
    """The next generation has the terms of the last one, where these have data."""

    def forget(self, id: str) -> None:
        terms = self.store.record(id).terms
        super().forget(id)
        if terms is not None and terms.data is not None:
            self.store.record(id).terms = terms


@mutant("info-is-complete", "last_modified_by columns", alone=True)
class TheLastOneSettledIt(Registered):
    """Who settled is who tried last."""

    def put(self, id: str, outcome: Outcome_) -> Outcome_:
        stands = super().put(id, outcome)
        if isinstance(stands, Resolved):
            self.store.record(id).outcome = replace(stands, by=outcome.by)
        return stands


@mutant("info-is-complete", "created_at DEFAULT now(), of a row that settle has made")
class SettledIsCreated(Registered):
    """A promise that was only settled says when it was created."""

    def tell(self, record: Record) -> PromiseInfo[bytes]:
        info = super().tell(record)
        return replace(info, created_at=info.settled_at or info.created_at)


@mutant(
    "histories-with-terms-are-linearizable",
    "delayed messages that name a row by its key, and find another row there",
    alone=True,
)
class DeadlineOfTheFormer(Registered):
    """A deadline that is over settles the next generation, if a disposal is faster."""

    async def create(self, id: str, terms: Terms_) -> Terms_:
        await self.turn()
        record = self.store.record(id)
        stands = self.give(id, terms)
        late = expiry(stands, now())
        if late is not None and record.outcome is None:
            for _ in range(10):
                await checkpoint()
            self.put(id, late)
        return stands
