"""
`ENDPOINTS`: all that a server answers, a row each.

Routing, the failures 404 and 405, and the server's description are derived from these
rows. A row may also answer with a page: it has its own media type, form of a failure,
and type of body (see `Endpoint`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from dp_core.server._answering import (
    Serving,
    answer_batch,
    answer_call,
    answer_get,
    answer_health,
    answer_unknown,
    answer_watch,
    answer_watch_query,
)
from dp_core.server._pages import PAGES
from dp_core.server._routing import JSON, Body, Endpoint, Endpoints
from dp_core.wire import (
    BATCH_PATH,
    ENVELOPE_BYTES,
    MAX_WATCH_BYTES,
    WATCH_PATH,
    max_batch_bytes,
)

__all__ = ["ENDPOINTS"]

_TWO_VALUES: Final = Body(longest=lambda largest: 2 * (largest + ENVELOPE_BYTES))
"""The body of a create: data, and the outcome after the deadline."""

_FORMS: Final = (
    "/promise/{}",
    "/promises/{{id}}/{}",
    "/durablePromiseServer/{}",
)
_OPERATIONS: Final = ("peek", "await", "resolve", "reject", "dispose")


def _calls() -> Iterator[Endpoint[Serving]]:
    for form in _FORMS:
        for operation in _OPERATIONS:
            yield _post(form.format(operation))
    yield _post("/promise/create", body=_TWO_VALUES)
    yield _post("/promise/info")


def _post(path: str, body: Body = JSON) -> Endpoint[Serving]:
    return Endpoint(methods=("POST",), path=path, answer=answer_call, body=body)


ENDPOINTS: Final = Endpoints[Serving](
    rows=(
        *_calls(),
        Endpoint(methods=("GET",), path="/promises", answer=answer_get),
        Endpoint(methods=("GET",), path="/promises/{id}", answer=answer_get),
        Endpoint(
            methods=("POST",),
            path=BATCH_PATH,
            answer=answer_batch,
            body=Body(longest=max_batch_bytes),
        ),
        Endpoint(
            methods=("POST",),
            path=WATCH_PATH,
            answer=answer_watch,
            body=Body(longest=lambda _: MAX_WATCH_BYTES),
            streams=True,
        ),
        Endpoint(
            methods=("GET",),
            path=WATCH_PATH,
            answer=answer_watch_query,
            body=Body(longest=lambda _: MAX_WATCH_BYTES),
            streams=True,
        ),
        Endpoint(
            methods=("GET", "HEAD"),
            path="/health",
            answer=answer_health,
            body=None,
            asks_for_token=False,
        ),
        *PAGES,
    ),
    unknown=replace(_post("/"), answer=answer_unknown),
)
