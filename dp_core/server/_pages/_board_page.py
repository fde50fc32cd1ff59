"""`board_page`: what is in a store, newest first; `Filters`, in the page's address."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, final, get_args
from urllib.parse import urlencode

from dp_core._access import Access, page_of
from dp_core._errors import ProtocolError
from dp_core._states import Pending
from dp_core._terms import Page, PromiseInfo, StateName, state_name
from dp_core._text import shortened, visible
from dp_core.backend import now
from dp_core.server._pages._asking import Visit
from dp_core.server._pages._showing import rendered, time_in_words
from dp_core.server._routing import Response
from dp_core.wire import List, read_get

__all__ = ["PAGE_ROWS", "BoardContent", "Filters", "board_page"]

PAGE_ROWS: Final = 100
"""The most promises on a page."""

_MAX_BYTES: Final = 60 * 1024
"""The most bytes that the rows of a page take, about."""

_ROW_BYTES: Final = 420
"""The markup of a row, about."""

_MAX_ID: Final = 160
_MAX_TAG: Final = 60
_MOST_TAGS: Final = 4


@final
@dataclass(frozen=True, slots=True)
class Filters:
    """
    A view of a store, as the address of the board says it.

    Attributes:
        state: The state; empty for all.
        tags: Tags, as ``KEY:VALUE``.
        prefix: The beginning of the ids.
        after: Where the page begins; empty for the newest.
    """

    state: str = ""
    tags: tuple[str, ...] = ()
    prefix: str = ""
    after: str = ""

    @classmethod
    def of(cls, visit: Visit) -> Filters:
        """
        Return what the query of a request says; blank members are none.

        Raises:
            ProtocolError: Something is there twice (400).
        """
        tags = (value.strip() for key, value in visit.query if key == "tag")
        return cls(
            visit.one("state") or "",
            tuple(filter(None, tags)),
            visit.one("prefix") or "",
            visit.one("after") or "",
        )

    def query(self) -> str:
        """Return the query string that says it."""
        pairs = [("state", self.state), *(("tag", tag) for tag in self.tags)]
        pairs += [("prefix", self.prefix), ("after", self.after)]
        return urlencode([(key, value) for key, value in pairs if value])

    def call(self) -> List:
        """
        Return the question for the store, by the rules of the wire.

        Raises:
            ProtocolError: It cannot be asked (400).
            InvalidQueryError: No promise can be found by it.
        """
        query = self.query()
        more = urlencode({"newest": "true", "limit": str(PAGE_ROWS)})
        call = read_get("/promises", f"{query}&{more}" if query else more)
        if isinstance(call, List):
            return call
        raise ProtocolError(400, "this address asks for no list")


@final
@dataclass(frozen=True, slots=True)
class BoardContent:
    """
    Content of the board.

    Attributes:
        filters: The view.
        page: The promises; None where they cannot be told.
        seen: What is seen of them, for the stream.
        failure: Why they cannot be told.
        keeps_outcomes_only: Whether the store has no list.
    """

    filters: Filters
    page: Page | None = None
    seen: str = ""
    failure: str = ""
    keeps_outcomes_only: bool = False


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class _BoardRow:
    """A promise on the board; see the template."""

    key: str
    at: str
    id: str
    state: str
    tags: Sequence[tuple[str, str]]
    more_tags: int
    created_at: datetime | None
    deadline: datetime | None
    left: str
    settled_at: datetime | None
    by: str
    expired: bool


def board_page(board: BoardContent, access: Access, has_cookie: bool) -> Response:  # noqa: FBT001 - called by a thread
    """
    Return the board.

    Args:
        board: What is on it.
        access: What its reader may do.
        has_cookie: Whether the browser keeps a token, which it may forget.
    """
    infos: Sequence[PromiseInfo[bytes]] = board.page.infos if board.page else ()
    rows: list[_BoardRow] = []
    used = 0
    for info in infos:
        row, size = _row(info)
        if rows and used + size > _MAX_BYTES:
            break
        rows.append(row)
        used += size
    after = board.page.after if board.page else None
    if len(rows) < len(infos):
        after = infos[len(rows) - 1].cursor
    filters = board.filters
    stream = replace(filters, after=filters.after).query()
    context: Mapping[str, object] = {
        "filters": filters,
        "states": get_args(StateName),
        "rows": rows,
        "failures": len(board.page.failures) if board.page else 0,
        "older": f"?{replace(filters, after=after).query()}" if after else "",
        "newest": f"?{replace(filters, after='').query()}" if filters.after else "",
        "is_filtered": bool(filters.query()),
        "changes": f"board/changes?{stream}{'&' if stream else ''}seen={board.seen}"
        if board.page
        else "",
        "failure": board.failure,
        "keeps_outcomes_only": board.keeps_outcomes_only,
        "may_create": "create" in access.rights and not board.keeps_outcomes_only,
        "has_cookie": has_cookie,
    }
    status = 400 if board.failure else 501 if board.keeps_outcomes_only else 200
    return rendered("board", status, root="./", keeps_origin=True, **context)


def _row(info: PromiseInfo[bytes]) -> tuple[_BoardRow, int]:
    """Return a promise as a row, and about how many bytes it takes."""
    terms = info.terms
    tags = list(terms.tags.items()) if terms else []
    shown = [
        (shortened(visible(key), _MAX_TAG), shortened(visible(value), _MAX_TAG))
        for key, value in tags[:_MOST_TAGS]
    ]
    is_pending = isinstance(info.state, Pending)
    deadline = terms.deadline if terms and is_pending else None
    at, id = f"p/{page_of(info.id)}", shortened(visible(info.id), _MAX_ID)
    by = shortened(visible(info.settled_by or ""), _MAX_TAG)
    row = _BoardRow(
        key=info.cursor or info.id,
        at=at,
        id=id,
        state=state_name(info.state),
        tags=shown,
        more_tags=len(tags) - len(shown),
        created_at=info.created_at,
        deadline=deadline,
        left=time_in_words(deadline - now()) if deadline else "",
        settled_at=info.settled_at,
        by=by,
        expired=info.expired,
    )
    texts = (row.key, at, id, by, *(f"{key}{value}" + 40 * " " for key, value in shown))
    return row, _ROW_BYTES + sum(len(text.encode()) for text in texts)
