"""`openapi`: the description of the endpoints as an OpenAPI 3.1 document."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final
from urllib.parse import quote

from dp_core.server._routing._about import NOTHING, About, DescribedResponse
from dp_core.server._routing._describing._parameters import in_path
from dp_core.server._routing._describing._schemas import SCHEMAS, ref
from dp_core.server._routing._endpoint import Endpoint
from dp_core.server._routing._response import json_failure

__all__ = ["openapi"]

_VERSION: Final = "1.0"
"""The version of the description; strangers need not know that of the library."""

_FAILURES: Final[Mapping[int, str]] = {
    400: "not a valid body, id, query or head",
    401: "no token of this server",
    403: "the token does not allow it, or a page of another site asks",
    404: "nothing is there",
    408: "the body took too long",
    410: "the promise was disposed of while the request waited",
    413: "the body is too large",
    415: "the body is of another type, or compressed",
    421: "the server is not known by that name",
    422: "not a valid value, or not valid terms",
    500: "the server failed; the operation may have taken effect",
    501: "the server's store keeps outcomes only",
    503: "the store is not available, or all places to wait are needed by others; ask "
    "again after `Retry-After`",
}
_HEADERS: Final[Mapping[int, tuple[tuple[str, str], ...]]] = {
    401: (("WWW-Authenticate", "`Bearer`"),),
    503: (("Retry-After", "seconds"),),
}
_FAILURE: Final = "Failure"
_TEXT: Final = {"type": "string"}

_OF_ALL: Final = frozenset({400, 403, 421, 500, 503})
_OF_BODIES: Final = frozenset({408, 413, 415})
_OF_TOKENS: Final = frozenset({401})

_ABOUT: Final = (
    "Promises that outlive the process that made them. Beyond what is said here, any "
    "other path is answered 404, any other method 405 with `Allow`, and a head that is "
    "too long or broken 400, 414 or 431 by the HTTP server underneath."
)


def openapi(
    rows: Collection[Endpoint[Any]], *, asks_for_tokens: bool | None, root: str = ""
) -> dict[str, Any]:
    """
    Return the document.

    Args:
        rows: The endpoints. Those that say nothing about themselves are left out.
        asks_for_tokens: Whether the server does; None where that is not known.
        root: The path below which the endpoints are.
    """
    paths: dict[str, dict[str, Any]] = {}
    for row in rows:
        if row.about is None:
            continue
        here = paths.setdefault(row.path, {})
        for method in row.methods:
            here[method.lower()] = _operation(
                method, row, row.about, asks_for_tokens=asks_for_tokens
            )
    topics = dict.fromkeys(row.about.topic for row in rows if row.about)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Durable promises",
            "version": _VERSION,
            "description": _ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        **({"servers": [{"url": quote(root)}]} if root else {}),
        "tags": [{"name": topic} for topic in topics],
        "paths": paths,
        "components": {
            "schemas": dict(SCHEMAS),
            "responses": {
                f"{_FAILURE}{status}": _response(_failure(status))
                for status in _FAILURES
            },
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "the server's token, or a JWT that one of its "
                    "secrets has signed (HS256)",
                }
            },
        },
    }


def _operation(
    method: str, row: Endpoint[Any], about: About, *, asks_for_tokens: bool | None
) -> dict[str, Any]:
    asks = row.asks_for_token and asks_for_tokens is not False
    names = [each[1:-1] for each in row.path.split("/") if each.startswith("{")]
    parameters = [*map(in_path, names), *about.parameters]
    found: dict[str, Any] = {
        "operationId": _name(method, row.path),
        "summary": about.summary,
        "tags": [about.topic],
    }
    if parameters:
        found["parameters"] = parameters
    if row.body is not None and about.body is not None:
        content: dict[str, Any] = {"schema": about.body}
        if about.examples:
            content["examples"] = {
                name: {"value": value} for name, value in about.examples.items()
            }
        found["requestBody"] = {
            "required": about.needs_body,
            "content": {row.body.media_type: content},
        }
    found["responses"] = {
        str(status): response
        for status, response in sorted(_responses(method, row, about, asks=asks))
    }
    # The empty one says that nothing need be shown.
    needs_none = not asks or asks_for_tokens is None
    found["security"] = [{"token": []}] * asks + [{}] * needs_none
    return found


def _name(method: str, path: str) -> str:
    words = [word.strip("{}") for word in path.replace(".", "/").split("/")]
    return "_".join([method.lower(), *filter(None, words)])


def _responses(
    method: str, row: Endpoint[Any], about: About, *, asks: bool
) -> Iterator[tuple[int, dict[str, Any]]]:
    failures = _OF_ALL | about.failures
    if row.body is not None:
        failures |= _OF_BODIES
    if asks:
        failures |= _OF_TOKENS
    # The head of what GET would answer, alone.
    has_body = method != "HEAD"
    for status, reply in about.replies.items():
        yield status, _response(reply, has_body=has_body)
    for status in failures - set(about.replies):
        if row.fail is json_failure and has_body:
            yield status, {"$ref": f"#/components/responses/{_FAILURE}{status}"}
        else:
            reply = replace(_failure(status), schema=_TEXT, media_type="text/html")
            yield status, _response(reply, has_body=has_body)


def _response(reply: DescribedResponse, *, has_body: bool = True) -> dict[str, Any]:
    found: dict[str, Any] = {"description": reply.says}
    if reply.headers:
        found["headers"] = {
            name: {"description": says, "schema": _TEXT}
            for name, says in reply.headers.items()
        }
    if reply.schema is not None and has_body:
        content = {"schema": reply.schema}
        if reply.example is not NOTHING:
            content["example"] = reply.example
        found["content"] = {reply.media_type: content}
    return found


def _failure(status: int) -> DescribedResponse:
    """Return a failure in the wire's form."""
    said = _FAILURES[status]
    headers = dict(_HEADERS.get(status, ()))
    example = {"code": status, "message": said, "type": "ProtocolError"}
    return DescribedResponse(said, ref("Failure"), example, headers=headers)
