"""
`ENDPOINTS`: all that a server answers, a row each.

Routing, the failures 404 and 405, and the description of the server (OpenAPI) are
derived from these rows. A row may also answer with a page: it has its own type of body,
form of a failure, and media type (see `Endpoint`).
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
    answer_metrics,
    answer_openapi,
    answer_unknown,
    answer_watch,
    answer_watch_query,
)
from dp_core.server._pages import PAGES
from dp_core.server._routing import JSON, About, Body, Endpoint, Endpoints, about
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


def _calls() -> Iterator[Endpoint[Serving]]:
    for form, operations in about.FORMS.items():
        for operation, said in operations.items():
            yield _post(form.format(operation), said)
    yield _post("/promise/create", about.CREATE, _TWO_VALUES)
    yield _post("/promise/info", about.INFO)


def _post(path: str, said: About | None, body: Body = JSON) -> Endpoint[Serving]:
    return Endpoint(
        methods=("POST",), path=path, answer=answer_call, body=body, about=said
    )


ENDPOINTS: Final = Endpoints[Serving](
    rows=(
        *_calls(),
        Endpoint(
            methods=("GET",),
            path="/promises",
            answer=answer_get,
            about=about.LIST_PROMISES,
        ),
        Endpoint(
            methods=("GET",),
            path="/promises/{id}",
            answer=answer_get,
            about=about.GET_INFO,
        ),
        Endpoint(
            methods=("POST",),
            path=BATCH_PATH,
            answer=answer_batch,
            body=Body(longest=max_batch_bytes),
            about=about.BATCH,
        ),
        Endpoint(
            methods=("POST",),
            path=WATCH_PATH,
            answer=answer_watch,
            body=Body(longest=lambda _: MAX_WATCH_BYTES),
            streams=True,
            about=about.WATCH,
        ),
        Endpoint(
            methods=("GET",),
            path=WATCH_PATH,
            answer=answer_watch_query,
            body=Body(longest=lambda _: MAX_WATCH_BYTES),
            streams=True,
            about=about.WATCH_BY_GET,
        ),
        Endpoint(
            methods=("GET", "HEAD"),
            path="/health",
            answer=answer_health,
            body=None,
            asks_for_token=False,
            is_probe=True,
            about=about.HEALTH,
        ),
        # Numbers of all promises, so it takes the right to list them.
        Endpoint(
            methods=("GET", "HEAD"),
            path="/metrics",
            answer=answer_metrics,
            body=None,
            rights=frozenset({"list"}),
            is_probe=True,
            about=about.METRICS,
        ),
        # It says what the documentation says, and nothing about the store.
        Endpoint(
            methods=("GET", "HEAD"),
            path="/openapi.json",
            answer=answer_openapi,
            body=None,
            asks_for_token=False,
            about=about.OPENAPI,
        ),
        *PAGES,
    ),
    unknown=replace(_post("", None), answer=answer_unknown),
)
