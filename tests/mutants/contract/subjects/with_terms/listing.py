"""Mutants that list promises wrongly."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from dp_core import Query
from dp_core.backend import Page
from mutants.contract.registered import Record, Registered
from mutants.contract.registry import mutant
from mutants.contract.right import State_


@mutant(
    "what-is-there-is-listed",
    "lists of what was created, by a table that settle does not write",
)
class OnlyTheCreated(Registered):
    """A promise that was settled and never created is not listed."""

    def after(self, query: Query, after: str | None) -> Iterator[Record]:
        return (r for r in super().after(query, after) if r.terms is not None)


@mutant(
    "what-is-there-is-listed",
    "rows that a reader leaves behind: get_or_create",
    alone=True,
)
class NamedIsListed(Registered):
    """A promise that was only looked at is listed."""

    def look(self, id: str) -> State_:
        self.store.hear_of(self.store.record(id))
        return super().look(id)


@mutant(
    "listings-are-stable",
    "LIMIT 10 OFFSET 20, while rows come and go",
    alone=True,
)
class PagesAreCounted(Registered):
    """A page begins after as many promises as were listed before."""

    def page(self, query: Query, after: str | None, limit: int) -> Page:
        rows = super().page(query, None, 1_000_000).infos
        if after is not None and after.startswith("@"):
            start = int(after[1:])
        else:
            start = len(rows) - len(super().page(query, after, 1_000_000).infos)
        end = start + limit
        return Page(rows[start:end], f"@{end}" if end < len(rows) else None)


@mutant(
    "listings-are-stable",
    "ORDER BY updated_at: what is changed meanwhile moves to another page",
)
class OrderOfTheLastChange(Registered):
    """A promise that is settled moves to the end of the list."""

    def become(self, record: Record, outcome: object) -> None:
        record.number = next(self.store.numbers)
        super().become(record, outcome)  # type: ignore[arg-type] # of the right class


@mutant(
    "listings-are-stable",
    "a filter that is applied to a page: an empty one is taken for the end",
)
class EndsEarly(Registered):
    """A listing ends with the first page on which a promise was disposed of."""

    def page(self, query: Query, after: str | None, limit: int) -> Page:
        page = super().page(query, after, limit)
        numbers = [int(info.cursor or 0) for info in page.infos]
        gaps = numbers and abs(numbers[-1] - numbers[0]) >= len(numbers)
        return replace(page, after=None) if gaps else page


@mutant(
    "queries-find-what-they-say",
    "LIKE 'prefix%', whose prefix has a % or a _ in it",
    alone=True,
)
class PrefixIsAPattern(Registered):
    """Wildcards in a prefix stand for other characters."""

    def page(self, query: Query, after: str | None, limit: int) -> Page:
        pattern = re.escape(query.prefix).replace("%", ".*").replace("_", ".")
        rows = super().page(replace(query, prefix=""), after, 1_000_000).infos
        found = [info for info in rows if re.match(pattern, info.id, re.DOTALL)]
        more = len(found) > limit
        return Page(tuple(found[:limit]), found[limit - 1].cursor if more else None)


@mutant(
    "queries-find-what-they-say",
    "labels of an issue tracker: any of them",
    alone=True,
)
class AnyTagIsEnough(Registered):
    """A query with two tags finds what has one of them."""

    def page(self, query: Query, after: str | None, limit: int) -> Page:
        rows = super().page(replace(query, tags={}), after, 1_000_000).infos
        found = [
            info
            for info in rows
            if not query.tags
            or (info.terms and query.tags.items() & info.terms.tags.items())
        ]
        more = len(found) > limit
        return Page(tuple(found[:limit]), found[limit - 1].cursor if more else None)


@mutant(
    "cursors-go-on",
    "cursors that name the last row, and are looked up",
    alone=True,
)
class CursorOfARow(Registered):
    """A cursor of a promise that was disposed of begins anew."""

    def page(self, query: Query, after: str | None, limit: int) -> Page:
        numbers = {str(record.number) for record in self.store.in_order()}
        known = after if after in numbers else None
        return super().page(query, known, limit)
