"""
`answer_promise_page`: the page of each promise, for whoever has a link or a token.

GET and HEAD show it. A POST of one of its forms settles the promise, or disposes of it.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from dp_core._access import PAGES_PATH, page_of
from dp_core._errors import (
    BackendError,
    CodecError,
    CorruptPromiseError,
    InvalidValueError,
    OutcomeUnknownError,
    ProtocolError,
)
from dp_core._ids import check_id
from dp_core._registry import info_of
from dp_core._states import Pending, Rejected
from dp_core._terms import PromiseInfo
from dp_core.backend import in_thread, size_of
from dp_core.server._answering import Serving
from dp_core.server._pages._asking import (
    FIELDS,
    ChoiceGoneError,
    Visit,
    one_of,
    read_answer,
    read_path,
    visited,
)
from dp_core.server._pages._promise_page import (
    Entered,
    Message,
    PageReader,
    promise_page,
    told,
)
from dp_core.server._routing import AdmittedRequest, Response
from dp_core.wire import Dispose, Info

__all__ = ["FIELDS_OF_PAGE", "answer_promise_page", "page_after"]

ROOT: Final = "../"
FIELDS_OF_PAGE: Final = frozenset({"token", "id", "dispose", *FIELDS})
_SLOW_BYTES: Final = 16 * 1024
"""The size of a promise from which its page takes longer than a hop to a thread."""


async def answer_promise_page(serving: Serving, request: AdmittedRequest) -> Response:
    """
    Answer a request for the page of a promise, or from a form of it.

    Raises:
        ClientGoneError: The client went away.
    """
    # Without the query, in which there may be a token.
    visit = Visit(serving, request, ROOT, request.path.removeprefix("/"))
    return await visited(visit, _answer, FIELDS_OF_PAGE)


async def _answer(visit: Visit) -> Response:
    id = _id_of(visit)
    if page_of(id).startswith("?"):
        visit.next = f"{PAGES_PATH.removeprefix('/')}{page_of(id)}"
    info = await _info(visit, id)
    if visit.form is None:
        return await _page(visit, info)
    if one_of(visit.form, (*FIELDS, "dispose")) == "dispose":
        return await _dispose(visit, id)
    return await _settle(visit, info)


async def page_after(visit: Visit, id: str, status: int, message: Message) -> Response:
    """
    Return the page of a promise to which something was done.

    Raises:
        ProtocolError: This person may not read it (403).
        BackendError: The store failed.
    """
    return await _page(visit, await _info(visit, id), status, message)


async def _settle(visit: Visit, before: PromiseInfo[bytes]) -> Response:
    form = visit.form or {}
    data = before.terms.data if before.terms is not None else None
    try:
        read = partial(read_answer, before.id, form, data, visit.serving.largest)
        call = await visit.serving.parsed(read, data or b"")
    except ChoiceGoneError:
        if not isinstance(before.state, Pending):
            return await _too_late(visit, before)
        return await _page(visit, before, 409, _OTHER_CHOICES)
    except CodecError as error:
        if not isinstance(before.state, Pending):
            return await _too_late(visit, before)
        why = error.reason if isinstance(error, InvalidValueError) else str(error)
        name = one_of(form, FIELDS)
        entered = Entered(name, form[name], f"This cannot be kept: {why}.")
        return await _page(visit, before, 422, _MEND, entered)
    call = visit.permitted(call)
    await visit.serving.operations.do(call, visit.access)
    try:
        after = await _info(visit, before.id)
    except BackendError:
        raise OutcomeUnknownError("the answer was taken, or another one was") from None
    status, notice = told(before, after, call.outcome)
    return await _page(visit, after, status, notice)


async def _too_late(visit: Visit, info: PromiseInfo[bytes]) -> Response:
    """Return the page for an answer that cannot be read, and would not count."""
    status, notice = told(info, info, Rejected(""))
    return await _page(visit, info, status, notice)


async def _dispose(visit: Visit, id: str) -> Response:
    if (visit.form or {})["dispose"] != "yes":
        raise ProtocolError(400, "this is not a form of this server")
    await visit.serving.operations.do(visit.permitted(Dispose(id)), visit.access)
    return await page_after(visit, id, 200, _FORGOTTEN)


async def _info(visit: Visit, id: str) -> PromiseInfo[bytes]:
    """Return what the store knows, and this person may read."""
    visit.permitted(Info(id))
    return await info_of(visit.serving.backend, id)


async def _page(
    visit: Visit,
    info: PromiseInfo[bytes],
    status: int = 200,
    notice: Message | None = None,
    entered: Entered | None = None,
) -> Response:
    reader = PageReader(visit.access, visit.token)
    write = partial(promise_page, info, reader, status, notice, entered)
    try:
        return await in_thread(write) if size_of(info) > _SLOW_BYTES else write()
    except CodecError as error:
        raise CorruptPromiseError(f"what is kept is not JSON: {error}") from None


_OTHER_CHOICES: Final = Message(
    "bad",
    "That choice is not offered any more.",
    "Nothing was changed. Look again, and choose from what is offered now.",
)
_MEND: Final = Message(
    "bad", "Your answer was not taken.", "See below what is wrong with it."
)
_FORGOTTEN: Final = Message("good", "This promise was disposed of.")


def _id_of(visit: Visit) -> str:
    """
    Return the id that a request is about.

    Raises:
        ProtocolError: It names none (404), or what is not text (400).
        InvalidPromiseIdError: It cannot be one.
    """
    (name,) = visit.request.parameters
    if name:
        id = read_path(name)
    else:
        asked = visit.one("id") if visit.form is None else visit.form.get("id")
        if not asked:
            raise ProtocolError(404, "this address names no promise")
        id = asked
    check_id(id)
    return id
