"""`read_call`, `read_get`: the call that a request makes, by its path and its body."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

from dp_core._errors import InvalidPromiseIdError, ProtocolError
from dp_core._ids import check_id
from dp_core._text import quoted
from dp_core.values import MAX_VALUE_BYTES
from dp_core.wire._calls._bodies import (
    FORMS,
    IN_ALL_FORMS,
    OPERATIONS,
    read_bare,
    read_members,
    read_wrapped,
    split_body,
)
from dp_core.wire._calls._calls import Info, PromiseCall
from dp_core.wire._queries import List, read_query

__all__ = ["no_operation", "read_call", "read_get"]


def read_call(path: str, body: bytes, limit: int = MAX_VALUE_BYTES) -> PromiseCall:
    """
    Return the call that a request makes.

    Args:
        path: The path of the request, still percent-encoded, without query.
        body: Its body.
        limit: The largest value to accept, in bytes of JSON text.

    Raises:
        ProtocolError: No such operation (404), or no such body (400).
        InvalidPromiseIdError: The id cannot name a promise.
        InvalidValueError: The value or message cannot be kept.
    """
    match path.split("/"):
        case ["", "promise", operation] if operation in OPERATIONS:
            return read_members(operation, split_body(body), limit)
        case ["", "durablePromiseServer", operation] if operation in IN_ALL_FORMS:
            return read_wrapped(operation, body, limit)
        case ["", "promises", id, operation] if operation in IN_ALL_FORMS:
            return read_bare(operation, _path_id(id), body, limit)
        case _:
            raise no_operation(path)


def no_operation(path: str) -> ProtocolError:
    """Return the error of a path at which there is no operation (404)."""
    return ProtocolError(404, f"no operation at {quoted(path)}; {FORMS}")


def read_get(path: str, query: str) -> Info | List:
    """
    Return the call that a GET makes: of one promise, or of those a query finds.

    Args:
        path: The path of the request, still percent-encoded, without query.
        query: The query string.

    Raises:
        ProtocolError: It asks for nothing that is here (404), or wrongly (400).
        InvalidPromiseIdError: The id cannot name a promise.
        InvalidQueryError: No promise can be found by this.
    """
    match path.split("/"):
        case ["", "promises"]:
            return read_query(query)
        case ["", "promises", id] if not query:
            return Info(_path_id(id))
    raise ProtocolError(
        404,
        f"nothing to get at {quoted(path)}; GET /promises lists promises, GET "
        "/promises/ID, without a query, tells all about one, and GET "
        "/watch?promiseId=ID waits for some",
    )


def _path_id(raw: str) -> str:
    try:
        id = unquote_to_bytes(raw).decode()
    except UnicodeError:
        raise InvalidPromiseIdError(raw, "it is not UTF-8") from None
    check_id(id)
    return id
