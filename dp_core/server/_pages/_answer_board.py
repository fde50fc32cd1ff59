"""
Answers to requests for the board: its page, its stream, and the token of a browser.

Programs that ask for `/` get a word about where things are, as JSON.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from typing import Final
from urllib.parse import quote

from dp_core._errors import (
    InvalidQueryError,
    NotSupportedError,
    ProtocolError,
)
from dp_core.backend import in_thread
from dp_core.server._answering import Serving, full_page
from dp_core.server._pages._asking import (
    MAX_TOKEN,
    Visit,
    cookies_of,
    query_without_token,
    token_in_cookie,
    visited,
)
from dp_core.server._pages._board_page import BoardContent, Filters, board_page
from dp_core.server._routing import HEADERS, AdmittedRequest, Header, Response
from dp_core.values import encode
from dp_core.wire import List

__all__ = [
    "answer_board",
    "answer_changes",
    "answer_leave",
    "answer_root",
    "answer_token",
]

_FIRST_STEPS: Final = {
    "board": "open this address in a browser",
    "list": "GET /promises",
    "info": "GET /promises/ID",
    "settle": "POST /promises/ID/resolve, the value as its body, as application/json",
    "description": "GET /openapi.json",
}
"""For programs, and people with curl."""


async def answer_board(serving: Serving, request: AdmittedRequest) -> Response:
    """
    Answer a request for the board.

    Raises:
        ProtocolError: It is from a program, without a token (401).
        ClientGoneError: The client went away.
    """
    if not _wants_page(request):
        await serving.guard.access(
            request.headers, request.scope, asks_for_token=request.access is None
        )
        return Response(200, encode(_FIRST_STEPS), ((b"vary", b"accept"),))
    visit = Visit(serving, request, "./", query_without_token(request.query))
    return await visited(visit, _board)


def _wants_page(request: AdmittedRequest) -> bool:
    accept = request.headers.get(b"accept", b"").lower()
    return b"text/html" in accept or b"application/xhtml" in accept


async def _board(visit: Visit) -> Response:
    filters = Filters.of(visit)
    has_cookie = visit.request.access is None and bool(
        token_in_cookie(visit.request.headers)
    )
    try:
        call = visit.permitted(filters.call())
    except InvalidQueryError as error:
        board = BoardContent(filters, failure=error.reason)
        return board_page(board, visit.access, has_cookie)
    make = partial(_made, visit, filters, call, has_cookie)
    kind = (filters, call, visit.access.rights, has_cookie)
    return await visit.serving.pages.answer(kind, make)


async def _made(
    visit: Visit,
    filters: Filters,
    call: List,
    has_cookie: bool,  # noqa: FBT001 - called by a table
) -> Response:
    changes = visit.serving.changes
    number = changes.number
    try:
        page = await full_page(visit.serving.backend, call)
        visit.serving.operations.tell_unreadable(page)
        board = BoardContent(filters, page, changes.seen(page, number))
    except InvalidQueryError as error:
        board = BoardContent(filters, failure=error.reason)
    except NotSupportedError:
        board = BoardContent(filters, keeps_outcomes_only=True)
    return await in_thread(board_page, board, visit.access, has_cookie)


async def answer_changes(serving: Serving, request: AdmittedRequest) -> Response | None:
    """
    Answer by the stream that says when a list may have changed.

    Raises:
        ClientGoneError: The client went away.
    """
    visit = Visit(serving, request, "../")

    async def stream(visit: Visit) -> Response:
        call = visit.permitted(Filters.of(visit).call())
        seen = visit.one("seen") or ""
        # It may be that of a cookie.
        allowed = replace(request, access=visit.access)
        await serving.changes.stream(call, seen, allowed, HEADERS)
        return _SENT

    answer = await visited(visit, stream)
    return None if answer is _SENT else answer


_SENT: Final = Response(200, b"")
"""A response that was sent, piece by piece."""


async def answer_token(serving: Serving, request: AdmittedRequest) -> Response:
    """
    Answer a form with a token, which the browser is to keep.

    Raises:
        ClientGoneError: The client went away.
    """
    visit = Visit(serving, request, "../")

    async def take(visit: Visit) -> Response:
        form = visit.form or {}
        token, next = form.get("token", "").strip(), form.get("next", "")
        visit.token = None
        visit.next = next if _NEXT.fullmatch(next) else ""
        if request.access is None:
            if len(token) > MAX_TOKEN:
                raise ProtocolError(
                    422, "a browser cannot keep a token that is so long; take another"
                )
            if not token:
                raise ProtocolError(401, "no token was given")
            await serving.guard.access_of(token.encode(), request.scope)
        return _to(f"../{visit.next}", *_cookies(request, token))

    return await visited(visit, take, _TOKEN_FIELDS, needs_token=False)


async def answer_leave(serving: Serving, request: AdmittedRequest) -> Response:
    """
    Answer a form by which a browser forgets its token.

    Raises:
        ClientGoneError: The client went away.
    """

    async def forget(visit: Visit) -> Response:
        return _to("../", *_cookies(request, ""))

    visit = Visit(serving, request, "../")
    return await visited(visit, forget, ("leave",), needs_token=False)


async def answer_root(serving: Serving, request: AdmittedRequest) -> Response:
    """Lead from where the app is mounted to the board, as its links are relative."""
    root = request.root.rpartition("/")[2]
    return _to(f"{quote(root)}/" if root else "/")


# A page of ours, below the root.
_NEXT: Final = re.compile(r"(p/[A-Za-z0-9._~%-]*|board/new)?(\?[A-Za-z0-9._~%&=+:-]*)?")
_TOKEN_FIELDS: Final = ("token", "next")


def _cookies(request: AdmittedRequest, token: str) -> list[Header]:
    return cookies_of(token, request.root or "/", secure=request.is_over_tls)


def _to(where: str, *headers: Header) -> Response:
    """Return the response that sends a browser on, by GET."""
    return Response(303, b"", ((b"location", where.encode("ascii")), *headers))
