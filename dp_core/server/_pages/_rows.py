"""`PAGES`: the rows of the table of endpoints that are for people."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Final, TypeAlias

from dp_core._access import PAGES_PATH
from dp_core.server._answering import Serving
from dp_core.server._pages._answer_board import (
    answer_board,
    answer_changes,
    answer_leave,
    answer_root,
    answer_token,
)
from dp_core.server._pages._answer_new import answer_new
from dp_core.server._pages._answer_promise import answer_promise_page
from dp_core.server._pages._asking import FORM_TYPE, LOOKS, form_bytes
from dp_core.server._pages._showing import ASSETS, asset_response, failure_page
from dp_core.server._routing import (
    AdmittedRequest,
    Body,
    Endpoint,
    Response,
    about,
    json_failure,
)
from dp_core.wire import ENVELOPE_BYTES

__all__ = ["PAGES"]

_Answer: TypeAlias = Callable[[Serving, AdmittedRequest], Awaitable[Response | None]]

_FORM: Final = Body(FORM_TYPE, lambda largest: form_bytes(largest) + ENVELOPE_BYTES)


def _page(
    methods: tuple[str, ...], body: Body | None, path: str, answer: _Answer, root: str
) -> Endpoint[Serving]:
    return Endpoint(
        methods=methods,
        path=path,
        answer=answer,
        body=body,
        asks_for_token=False,
        is_page=True,
        fail=partial(failure_page, root=root),
    )


_looks: Final = partial(_page, LOOKS, None)
_form: Final = partial(_page, ("POST",), _FORM)


def _asset(name: str) -> Endpoint[Serving]:
    async def answer(serving: Serving, request: AdmittedRequest) -> Response:
        return asset_response(name)

    return _looks(f"/assets/{name}", answer, "../")


PAGES: Final[tuple[Endpoint[Serving], ...]] = (
    _looks("", answer_root, "./"),
    # What fails before its `Accept` is looked at fails as for programs.
    replace(
        _looks("/", answer_board, "./"), fail=json_failure, about=about.FIRST_STEPS
    ),
    replace(_looks("/board/changes", answer_changes, "../"), streams=True),
    _looks("/board/new", answer_new, "../"),
    _form("/board/new", answer_new, "../"),
    _form("/board/token", answer_token, "../"),
    _form("/board/leave", answer_leave, "../"),
    _looks(f"{PAGES_PATH}{{id}}", answer_promise_page, "../"),
    _form(f"{PAGES_PATH}{{id}}", answer_promise_page, "../"),
    *map(_asset, ASSETS),
)
