"""
`search`: promises by a query, in the order of the store.

The order is that of ``place``, which a generation gets when it is first heard of, and
keeps. A page is found in two steps. One index yields *candidates* in that order: that
of the ids, where few promises have such ids, else that of the rarest tag, of the state,
or of the places themselves. What else the query asks for is looked up for each of them.
As there are at most `_LOOKS` of these for one page, a page takes a bounded time, and
may be empty although more follow.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias, final

from dp_backends.sql._rows import DISPOSED, PENDING, REJECTED, RESOLVED
from dp_backends.sql._sessions import SqlSession, in_state
from dp_core import BackendError, InvalidQueryError, PromiseInfo, Query
from dp_core.backend import PAGE_BYTES, quoted

__all__ = ["Found", "search"]

_STATES: Final = {"pending": PENDING, "resolved": RESOLVED, "rejected": REJECTED}

_LOOKS: Final = 10_000
"""The most rows to go through for one page, so that others are not held up."""

_DIGITS: Final = 19
"""A place is a signed number of 64 bits."""


@final
@dataclass(slots=True)
class Found:
    """
    Result of a search.

    Attributes:
        infos: The promises that were found, in the order of the query.
        over: Those of them that are pending although their deadline is over, by their
            ids in UTF-8 and their places in *infos*.
        failures: Those that are damaged, and why.
        after: The place from which to go on; None at the end.
    """

    infos: list[PromiseInfo[bytes]] = field(default_factory=list)
    over: dict[bytes, int] = field(default_factory=dict)
    failures: list[tuple[str, BackendError]] = field(default_factory=list)
    after: int | None = None


def search(session: SqlSession, query: Query, after: str | None, limit: int) -> Found:
    """
    Return the next promises that a query finds.

    Args:
        session: The session.
        query: The query.
        after: The place of the last promise of the page before; None for the first.
        limit: How many promises to return at most.

    Raises:
        InvalidQueryError: *after* is not of this store.
        Failure: The database cannot be read, or what was read cannot be made durable.
    """
    found = Found()
    start = _position(after)
    if not session.is_made():
        return found
    places, found.after = _Search(session, query, start, min(limit, _LOOKS)).places()
    if not places:
        return found
    now, rows = session.rows_at(places, newest=query.newest)
    session.make_durable(rows)
    for row in rows:
        try:
            info, over = row.info(), row.over(now)
        except BackendError as error:
            found.failures.append((row.id.decode(errors="replace"), error))
            continue
        if over is not None:
            found.over[row.id] = len(found.infos)
        found.infos.append(info)
    return found


def _position(after: str | None) -> int | None:
    if after is None:
        return None
    if not (after.isascii() and after.isdecimal() and len(after) <= _DIGITS):
        raise InvalidQueryError(f"{quoted(after)} is not a cursor of this store")
    return int(after)


_Part: TypeAlias = tuple[str, list[Any]]
"""A part of a statement, and the values of its parameters."""

_Tag: TypeAlias = tuple[bytes, bytes]
"""Key and value in UTF-8."""


@final
class _Search:
    """The search for one page."""

    def __init__(
        self, session: SqlSession, query: Query, start: int | None, limit: int
    ) -> None:
        self._session = session
        self._query = query
        self._start = start
        self._limit = limit
        self._promises = session.sql.promises
        self._tags = session.sql.tags
        self._one = session.sql.one
        self._order = "DESC" if query.newest else "ASC"

    def places(self) -> tuple[list[int], int | None]:
        """Return the places of the page, and that from which to go on."""
        candidates, rest = self._candidates()
        # No more than there are candidates of each state.
        looks = _LOOKS if rest else min(_LOOKS, self._limit + 1)
        source, values = candidates
        source = f"SELECT place FROM ({source}) AS c ORDER BY place {self._order}"
        where = "".join(f" AND {text}" for text, _ in rest)
        rows = self._session.all(
            "SELECT p.place, 2 * length(p.id) + coalesce(length(p.outcome), 0) "
            f"+ coalesce(length(p.terms), 0) FROM ({source} LIMIT {looks}) AS c "
            f"JOIN {self._promises} AS p ON p.place = c.place "
            f"WHERE p.state <> {DISPOSED}{where} "
            f"ORDER BY p.place {self._order} LIMIT {self._limit + 1}",
            *values,
            *(value for _, mine in rest for value in mine),
        )
        places: list[int] = []
        room = PAGE_BYTES
        for place, size in rows:
            if len(places) == self._limit or (places and room < size):
                return places, places[-1]
            places.append(place)
            room -= size
        return places, self._end(source, values, looks)

    def _end(self, source: str, values: list[Any], looks: int) -> int | None:
        """Return the place up to which all candidates were looked at, if not all."""
        last = self._session.all(f"{source} LIMIT 1 OFFSET {looks - 1}", *values)
        return last[0][0] if last else None

    # Candidates -------------------------------------------------------------

    def _candidates(self) -> tuple[_Part, list[_Part]]:
        """Return the query for candidates, and the conditions that it leaves."""
        query = self._query
        state: list[_Part] = (
            [] if query.state is None else [(f"p.state = {_STATES[query.state]}", [])]
        )
        ids = self._ids()
        tags = self._by_rarity() if query.tags else []
        if ids and self._are_few(ids):
            found = (f"SELECT place FROM {self._promises} AS p WHERE {ids[0]}", ids[1])
            return self._from(found), [*state, *map(self._has, tags)]
        rest = [ids] if ids else []
        if tags:
            return self._tagged(tags[0]), [*rest, *map(self._has, tags[1:])]
        where = f"p.state <> {DISPOSED}"
        if query.state == "resolved":
            # No index has these, as most are.
            rest = [*rest, *state]
        elif query.state is not None:
            where = in_state(_STATES[query.state])
        return self._from(
            (f"SELECT place FROM {self._promises} AS p WHERE {where}", [])
        ), rest

    def _from(self, part: _Part) -> _Part:
        """Return a query for those behind the page before."""
        text, values = part
        if self._start is None:
            return part
        sign = "<" if self._query.newest else ">"
        return f"{text} AND place {sign} {self._one}", [*values, self._start]

    def _tagged(self, tag: _Tag) -> _Part:
        """Return the query for promises that have a tag, by the index of tags."""
        states = [self._query.state] if self._query.state else list(_STATES)
        parts = [
            self._from(
                (
                    (
                        f"SELECT place FROM {self._tags} WHERE key = {self._one} "
                        f"AND value = {self._one} AND state = {_STATES[state]}"
                    ),
                    [*tag],
                )
            )
            for state in states
        ]
        looks = f"ORDER BY place {self._order} LIMIT {_LOOKS}"
        text = " UNION ALL ".join(f"SELECT * FROM ({q} {looks}) AS s" for q, _ in parts)
        return text, [value for _, values in parts for value in values]

    def _has(self, tag: _Tag) -> _Part:
        """Return the condition that a promise has a tag."""
        return (
            (
                f"EXISTS (SELECT 1 FROM {self._tags} AS t WHERE t.key = {self._one} "
                f"AND t.value = {self._one} AND t.state = p.state "
                "AND t.place = p.place)"
            ),
            [*tag],
        )

    def _by_rarity(self) -> list[_Tag]:
        tags = [(k.encode(), v.encode()) for k, v in self._query.tags.items()]
        if len(tags) == 1:
            return tags
        return sorted(tags, key=lambda tag: self._count(self._tagged(tag)))

    def _ids(self) -> _Part | None:
        """Return the condition for ids; None if any will do."""
        query = self._query
        conditions = [self._begins(query.prefix)] if query.prefix else []
        if query.ids is not None:
            any_of = [
                self._begins(id[:-1])
                if id.endswith("*")
                else (f"p.id = {self._one}", [id.encode()])
                for id in query.ids
            ]
            text = " OR ".join(text for text, _ in any_of) or "1 = 0"
            conditions.append((f"({text})", [v for _, mine in any_of for v in mine]))
        if not conditions:
            return None
        text = " AND ".join(text for text, _ in conditions)
        return text, [value for _, values in conditions for value in values]

    def _begins(self, prefix: str) -> _Part:
        """Return the condition that an id begins with a text, as a range of bytes."""
        first = prefix.encode()
        # No UTF-8 has the byte FF, so this is behind all that begin so.
        return (
            f"(p.id >= {self._one} AND p.id < {self._one})",
            [first, first + b"\xff"],
        )

    def _are_few(self, ids: _Part) -> bool:
        text, values = ids
        return (
            self._count((f"SELECT 1 FROM {self._promises} AS p WHERE {text}", values))
            < _LOOKS
        )

    def _count(self, part: _Part) -> int:
        """Return how many rows a query has, up to a limit."""
        text, values = part
        statement = (
            f"SELECT count(*) FROM (SELECT 1 FROM ({text}) AS q LIMIT {_LOOKS}) AS n"
        )
        return int(self._session.all(statement, *values)[0][0])
