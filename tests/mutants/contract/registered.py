"""`Registered`, a right backend that keeps terms; mutants of terms are subclasses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import count

import anyio

from dp_core import Pending, PromiseInfo, Query, Terms
from dp_core.backend import Page, expiry, now
from mutants.contract.right import Entry, Outcome_, Right, State_, Store

__all__ = ["Record", "Registered", "RegistryStore", "Terms_"]

Terms_ = Terms[bytes]


@dataclass(eq=False)
class Record(Entry):
    """
    One generation of one promise, and what was said about it.

    Attributes:
        id: The promise's id.
        number: Its place in the order; 0 before it was created or settled.
    """

    id: str = ""
    number: int = 0
    terms: Terms_ | None = None
    created_at: datetime | None = None
    settled_at: datetime | None = None
    expired: bool = False


class RegistryStore(Store):
    """The state that the handles of one store share."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = count(1)
        self.handles: frozenset[object] = frozenset()
        self.claimed: set[Record] = set()

    def record(self, key: str) -> Record:
        """Return the current generation of a promise."""
        entry = self.entries.setdefault(key, Record(id=key))
        assert isinstance(entry, Record)
        return entry

    def entry(self, key: str) -> Entry:
        return self.record(key)

    def hear_of(self, record: Record) -> None:
        """Give a generation its place in the order, the first time."""
        if not record.number:
            record.number = next(self.numbers)

    def in_order(self) -> list[Record]:
        """Return all that was created or settled."""
        records = [r for r in self.entries.values() if isinstance(r, Record)]
        return sorted((r for r in records if r.number), key=lambda r: r.number)


class Registered(Right):
    """Naive and right, with terms: every look settles what is over."""

    store_type = RegistryStore
    store: RegistryStore

    async def create(self, id: str, terms: Terms_) -> Terms_:
        await self.turn()
        return self.give(id, terms)

    async def info(self, id: str) -> PromiseInfo[bytes]:
        await self.turn()
        return self.tell(self.store.record(self.key(id)))

    async def list(self, query: Query, after: str | None, limit: int) -> Page:
        await self.turn()
        return self.page(query, after, limit)

    async def sweep(self, limit: int) -> float | None:
        await self.turn()
        for record in self.store.in_order():
            self.settle_if_over(record)
        return 0.5

    async def wait(self, id: str) -> Outcome_:
        await self.turn()
        record = self.store.record(self.key(id))
        while not record.over.is_set():
            self.settle_if_over(record)
            # Without a deadline, only a create can bring one.
            has_one = record.terms is not None and record.terms.deadline is not None
            with anyio.move_on_after(0.05 if has_one else 0.5):
                await record.over.wait()
        return record.result(id)

    # Steps that take effect at once: no checkpoint is inside them.

    def give(self, id: str, terms: Terms_) -> Terms_:
        record = self.store.record(self.key(id))
        is_first = record.terms is None
        if is_first:
            self.keep(record, terms)
        assert record.terms is not None
        return replace(record.terms, is_first=is_first)

    def keep(self, record: Record, terms: Terms_) -> None:
        """Give a record its terms."""
        record.created_at = now()
        record.terms = terms.given_at(record.created_at)
        self.store.hear_of(record)

    def look(self, id: str) -> State_:
        if self.key(id) in self.store.entries:
            self.settle_if_over(self.store.record(self.key(id)))
        return super().look(id)

    def put(self, id: str, outcome: Outcome_) -> Outcome_:
        record = self.store.record(self.key(id))
        self.settle_if_over(record)
        if record.outcome is None:
            self.become(record, outcome)
        assert record.outcome is not None
        return record.outcome

    def become(self, record: Record, outcome: Outcome_) -> None:
        """Settle a record."""
        record.outcome = outcome
        record.settled_at = now()
        self.store.hear_of(record)
        record.over.set()

    def settle_if_over(self, record: Record) -> None:
        """Let the deadline of a record settle it, if it is over."""
        outcome = expiry(record.terms, now())
        if outcome is not None and record.outcome is None and not record.disposed:
            record.expired = True
            self.become(record, outcome)

    def tell(self, record: Record) -> PromiseInfo[bytes]:
        """Return what is known about a record."""
        self.settle_if_over(record)
        return PromiseInfo(
            record.id,
            Pending() if record.outcome is None else record.outcome,
            record.terms,
            record.created_at,
            record.settled_at,
            None if record.outcome is None else record.outcome.by,
            record.expired,
            str(record.number) if record.number else None,
        )

    def page(self, query: Query, after: str | None, limit: int) -> Page:
        found: list[PromiseInfo[bytes]] = []
        for record in self.after(query, after):
            if len(found) == limit:
                return Page(tuple(found), found[-1].cursor)
            info = self.tell(record)
            if query.matches(info):
                found.append(info)
        return Page(tuple(found), None)

    def after(self, query: Query, after: str | None) -> Iterator[Record]:
        """Return the records that come after a cursor, in the order of a query."""
        records = self.store.in_order()
        if query.newest:
            records.reverse()
        for record in records:
            if (
                after is None
                or (record.number < int(after) and query.newest)
                or (record.number > int(after) and not query.newest)
            ):
                yield record
