"""`Listing`: pages of the promises in a directory; `info_of`, one of them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from secrets import token_hex
from typing import Final, final

from dp_backends.file._files import explained
from dp_backends.file._layout import Place
from dp_backends.file._reading import View
from dp_backends.file._registry._catalog import (
    Catalog,
    catalog,
    cursor_of,
    position_of,
)
from dp_backends.file._store import FileStore
from dp_core import BackendError, PromiseInfo, Query
from dp_core.backend import PAGE_BYTES, Page, size_of

__all__ = ["Listing", "info_of"]

_LOOKS: Final = 1000
"""The most promises to look at for one page, so that others are not held up."""

_KEPT: Final = 8
"""The most listings to keep a catalog of between two pages."""

_KEPT_FOR: Final = 60.0
"""Seconds after which a catalog is dropped; the next page makes another one."""

_SEPARATOR: Final = "~"
"""Text in `Page.after` between the cursor and the key of the catalog."""


@final
@dataclass(frozen=True, slots=True)
class _Kept:
    catalog: Catalog
    query: Query
    until: float

    def is_for(self, query: Query) -> bool:
        """Tell whether all that a query may find is in the catalog."""
        return (self.query.prefix, self.query.ids) == (query.prefix, query.ids)


@final
class Listing:
    """
    Lists one store.

    The first page reads a record of each promise, and the catalog that comes of it is
    kept for the other pages. Nothing but the cost depends on that.
    """

    def __init__(self, store: FileStore) -> None:
        self._store = store
        self._kept: dict[str, _Kept] = {}

    def page(self, query: Query, after: str | None, limit: int) -> Page:
        """
        Return a page; see `dp_core.backend.Registry`.

        Raises:
            InvalidQueryError: *after* is not of this store.
            BackendError: The store could not be read.
        """
        cursor, _, key = (after or "").partition(_SEPARATOR)
        place = position_of(cursor) if after is not None else None
        if not self._store.is_made():
            return Page((), None)
        with explained(f"list the promises in {self._store.root}"):
            whole = self._take(key, query) or catalog(self._store.root, query)
        infos: list[PromiseInfo[bytes]] = []
        failures = [] if after is not None else list(whole.failures)
        room = PAGE_BYTES
        places = whole.after(place, newest=query.newest)
        for index in places[:_LOOKS]:
            if len(infos) == limit or room <= 0:
                break
            place, id, generation = whole.entries[index]
            try:
                info = self._info(id, generation)
            except BackendError as error:
                # Is it that promise alone? A full disk keeps only what is over.
                self._store.is_made()
                failures.append((id, error.with_traceback(None)))
                continue
            if info is not None and query.matches(info):
                infos.append(info)
                room -= size_of(info)
        more = bool(whole.after(place, newest=query.newest))
        return Page(
            tuple(infos),
            "{}.{}".format(*place) + self._keep(key, whole, query)
            if more and place
            else None,
            tuple(failures),
        )

    def _info(self, id: str, generation: str) -> PromiseInfo[bytes] | None:
        place = self._store.place(id)
        view = self._store.look_at(place, whole=True)
        # Where it was disposed of since, its next generation has another place.
        return info_of(place, view) if view.generation == generation else None

    def _take(self, key: str, query: Query) -> Catalog | None:
        clock = time.monotonic()
        for old, kept in tuple(self._kept.items()):
            if kept.until < clock:
                self._kept.pop(old, None)
        found = self._kept.get(key)
        return found.catalog if found is not None and found.is_for(query) else None

    def _keep(self, key: str, whole: Catalog, query: Query) -> str:
        """Keep a catalog for the next page; return what to add to the cursor."""
        key = key or token_hex(8)
        # The last to be used is the last to go.
        self._kept.pop(key, None)
        self._kept[key] = _Kept(whole, query, time.monotonic() + _KEPT_FOR)
        for old in tuple(self._kept)[:-_KEPT]:
            self._kept.pop(old, None)
        return f"{_SEPARATOR}{key}"


def info_of(place: Place, view: View) -> PromiseInfo[bytes]:
    """
    Return all that a look has found of a promise.

    Raises:
        CorruptPromiseError: A record does not say when it was written.
    """
    created, settled = view.created, view.settled
    first = created or settled
    return PromiseInfo(
        id=place.id,
        state=view.state,
        terms=view.terms,
        created_at=None if created is None else created.moment(),
        settled_at=None if settled is None else settled.moment(),
        settled_by=getattr(view.state, "by", None),
        expired=settled is not None and settled.expired,
        cursor=None if first is None else cursor_of(place.name, first),
    )
