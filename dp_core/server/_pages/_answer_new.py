"""`answer_new`: the page on which a promise gets its terms."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from secrets import token_hex
from typing import Final

from dp_core._errors import (
    CodecError,
    InvalidPromiseIdError,
    InvalidTermsError,
    InvalidValueError,
)
from dp_core._ids import check_id
from dp_core._states import Rejected
from dp_core._terms import Terms, moment_after, refuse_reserved
from dp_core._text import read_number
from dp_core.backend import now
from dp_core.server._answering import Serving
from dp_core.server._pages._answer_promise import page_after
from dp_core.server._pages._asking import (
    Form,
    Visit,
    query_without_token,
    visited,
)
from dp_core.server._pages._promise_page import Message
from dp_core.server._pages._showing import rendered
from dp_core.server._routing import AdmittedRequest, Response
from dp_core.values import check_message, check_text
from dp_core.wire import Create

__all__ = ["NEW_FIELDS", "answer_new"]

NEW_FIELDS: Final = ("id", "deadline", "unit", "otherwise", "tags", "data")

_UNITS: Final[Mapping[str, timedelta]] = {
    "days": timedelta(days=1),
    "hours": timedelta(hours=1),
    "minutes": timedelta(minutes=1),
}


async def answer_new(serving: Serving, request: AdmittedRequest) -> Response:
    """
    Answer a request for the page, or from its form.

    Raises:
        ClientGoneError: The client went away.
    """
    query = query_without_token(request.query)
    visit = Visit(serving, request, "../", f"board/new{query}")
    return await visited(visit, _answer, NEW_FIELDS)


async def _answer(visit: Visit) -> Response:
    if visit.form is None:
        return _page({"id": visit.one("id") or ""})
    form = visit.form
    try:
        id = form.get("id") or token_hex(16)
        check_id(id)
        terms = _terms(form, visit.serving.largest)
    except (InvalidPromiseIdError, InvalidTermsError, CodecError) as error:
        return _page(form, 422, getattr(error, "reason", str(error)))
    call = visit.permitted(Create(id, terms))
    status, _ = await visit.serving.operations.do(call, visit.access)
    return await page_after(visit, id, status, _MADE if status == 201 else _WAS_THERE)


_MADE: Final = Message("good", "The promise was made.")
_WAS_THERE: Final = Message(
    "note",
    "This promise had its terms already.",
    "The first ones stand, as they are shown here; yours changed nothing.",
)


def _page(form: Form, status: int = 200, why: str = "") -> Response:
    filled = dict.fromkeys(NEW_FIELDS, "") | dict(form)
    return rendered(
        "new",
        status,
        root="../",
        keeps_origin=True,
        form=filled,
        why=f"{why[:1].upper()}{why[1:]}." if why else "",
        units=tuple(_UNITS),
    )


def _terms(form: Form, limit: int) -> Terms[bytes]:
    """
    Return the terms that a form says.

    Raises:
        InvalidTermsError: No promise can have them.
        InvalidValueError: The data are not JSON.
    """
    within = _within(form)
    otherwise = form.get("otherwise", "").strip()
    data = form.get("data", "").strip()
    tags: dict[str, str] = {}
    for line in filter(None, map(str.strip, form.get("tags", "").split("\n"))):
        key, _, value = line.replace("=", ":", 1).partition(":")
        if key.strip() in tags:
            raise InvalidTermsError(f"the tag {key.strip()} is there twice")
        tags[key.strip()] = value.strip()
    refuse_reserved(tags)
    return Terms(
        deadline=None if within is None else moment_after(now(), within),
        within=within,
        otherwise=Rejected(check_message(otherwise, limit)) if otherwise else None,
        tags=tags,
        data=check_text(_encoded(data), limit) if data else None,
    )


def _within(form: Form) -> timedelta | None:
    number = form.get("deadline", "").strip()
    if not number:
        return None
    unit = _UNITS.get(form.get("unit", ""), _UNITS["days"])
    try:
        within = unit * read_number(number)
    except (ValueError, OverflowError):
        # Also what is not a number, or not finite.
        within = timedelta(-1)
    if within < timedelta(0):
        raise InvalidTermsError(
            "the deadline is not a length of time; write a number, such as 3 or 0.5"
        )
    return within


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise InvalidValueError("$", "it is not Unicode text") from None
