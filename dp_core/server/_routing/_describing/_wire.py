"""Descriptions of the rows of the wire."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from dp_core.server._routing._about import About, DescribedResponse, Schema
from dp_core.server._routing._describing._parameters import LIST, PREFER, WATCHED
from dp_core.server._routing._describing._schemas import TERMS, ref, struct
from dp_core.wire import EVENT_STREAM

__all__ = [
    "BATCH",
    "CREATE",
    "FIRST_STEPS",
    "FORMS",
    "GET_INFO",
    "HEALTH",
    "INFO",
    "LIST_PROMISES",
    "METRICS",
    "OPENAPI",
    "WATCH",
    "WATCH_BY_GET",
]

_ID: Final = "approve-17"
_VALUE: Final = {"approved": True}
_MESSAGE: Final = "nobody approved in time"
_STATE: Final = "pending"

_OUTCOME: Final = DescribedResponse(
    "the outcome that won", ref("Outcome"), {"value": _VALUE}
)
_VALUE_FAILURES: Final = frozenset({413, 422})

# Operations of the reference: what they do, the member they take, and their answers.
_OPERATIONS: Final[Mapping[str, About]] = {
    "peek": About(
        summary="Tell the state of a promise",
        topic="Promises",
        replies={200: DescribedResponse("the state", ref("State"), None)},
    ),
    "await": About(
        summary="Wait for the outcome of a promise",
        topic="Promises",
        replies={
            200: DescribedResponse("the outcome", ref("Outcome"), {"value": _VALUE}),
            202: DescribedResponse(
                "it is pending, and the time of `Prefer` is over",
                {"type": "null"},
                None,
                headers={"Preference-Applied": "the time that was waited"},
            ),
        },
        failures=frozenset({410}),
        parameters=(PREFER,),
    ),
    "resolve": About(
        summary="Settle a promise with a value, unless it is settled",
        topic="Promises",
        replies={200: _OUTCOME},
        failures=_VALUE_FAILURES,
    ),
    "reject": About(
        summary="Settle a promise with an error message, unless it is settled",
        topic="Promises",
        replies={
            200: DescribedResponse(
                "the outcome that won", ref("Outcome"), {"error": "no"}
            )
        },
        failures=_VALUE_FAILURES,
    ),
    "dispose": About(
        summary="Forget a promise; whoever waits for it is told so",
        topic="Promises",
        replies={200: DescribedResponse("it is forgotten")},
    ),
}
# The member of each that is not the id, with an example, and whether it must be there.
_MEMBERS: Final[Mapping[str, tuple[str, Schema, Any, bool]]] = {
    "resolve": ("value", ref("Value"), _VALUE, False),
    "reject": ("errorMessage", ref("Message"), _MESSAGE, True),
}
_BY: Final[Schema] = {"oneOf": [ref("Name"), {"type": "null"}]}


def _named(operation: str, key: str) -> tuple[Schema, Mapping[str, Any]]:
    """Return the form of a body that names its promise, and an example."""
    members: dict[str, Schema] = {key: ref("Id")}
    example: dict[str, Any] = {key: _ID}
    needs = [key]
    if operation in _MEMBERS:
        name, schema, value, needed = _MEMBERS[operation]
        members |= {name: schema, "by": _BY}
        example[name] = value
        needs += [name] if needed else []
    return struct(members, needs=needs), example


def _in_body(operation: str) -> About:
    body, example = _named(operation, "promiseId")
    return replace(_OPERATIONS[operation], body=body, examples={operation: example})


def _in_request(operation: str) -> About:
    inner, example = _named(operation, "promiseName")
    return replace(
        _OPERATIONS[operation],
        body=struct({"request": inner}),
        examples={operation: {"request": example}},
    )


def _in_path(operation: str) -> About:
    about = _OPERATIONS[operation]
    if operation not in _MEMBERS:
        return about
    _, schema, value, needed = _MEMBERS[operation]
    return replace(about, body=schema, examples={operation: value}, needs_body=needed)


FORMS: Final[Mapping[str, Mapping[str, About]]] = {
    "/promise/{}": {each: _in_body(each) for each in _OPERATIONS},
    "/promises/{{id}}/{}": {each: _in_path(each) for each in _OPERATIONS},
    "/durablePromiseServer/{}": {each: _in_request(each) for each in _OPERATIONS},
}
"""The three forms of the operations of the reference."""

_KNOWN: Final = {
    "promiseId": _ID,
    "state": _STATE,
    "deadline": "2026-11-29T14:30:00.000Z",
    "otherwise": {"error": _MESSAGE},
    "tags": {"kind": "approval"},
    "data": {"amount": 1200},
    "createdAt": "2026-11-26T14:30:00.000Z",
    "settledAt": None,
    "settledBy": None,
    "expired": False,
    "cursor": None,
}
_STANDS: Final = DescribedResponse("all that is known about it", ref("Info"), _KNOWN)
_NEEDS_DEADLINE: Final[Schema] = {
    "if": {
        "properties": {"otherwise": {"type": "object"}},
        "required": ["otherwise"],
    },
    "then": {
        "properties": {"deadline": {"not": {"type": "null"}}},
        "required": ["deadline"],
    },
}

CREATE: Final = About(
    summary="Give a promise its terms, unless it has some",
    topic="Terms and lists",
    replies={
        200: replace(_STANDS, says="it had terms; all that is known about it"),
        201: replace(_STANDS, says="these terms are the first; all that is known"),
    },
    failures=frozenset({413, 422, 501}),
    body={
        **struct({"promiseId": ref("Id"), **TERMS}, needs=("promiseId",)),
        **_NEEDS_DEADLINE,
    },
    examples={
        "a deadline": {
            "promiseId": _ID,
            "deadline": 259200,
            "otherwise": {"error": _MESSAGE},
            "tags": {"kind": "approval"},
            "data": {"amount": 1200},
        }
    },
)
INFO: Final = About(
    summary="Tell all that is known about a promise",
    topic="Terms and lists",
    replies={200: _STANDS},
    failures=frozenset({501}),
    body=_named("info", "promiseId")[0],
    examples={"info": {"promiseId": _ID}},
)
GET_INFO: Final = replace(INFO, body=None, examples={}, failures=frozenset({404, 501}))
LIST_PROMISES: Final = About(
    summary="List promises, page by page",
    topic="Terms and lists",
    replies={
        200: DescribedResponse(
            "a page", ref("Page"), {"promises": [_KNOWN], "after": None}
        )
    },
    failures=frozenset({501}),
    parameters=LIST,
)
BATCH: Final = About(
    summary="Make many calls at once",
    topic="Many at once",
    replies={
        200: DescribedResponse(
            "the answer to each call, as it would be alone",
            ref("BatchAnswer"),
            [{"status": 200, "body": {"value": 5}}, {"status": 200, "body": None}],
        )
    },
    body=ref("Batch"),
    examples={
        "two calls": [
            {"op": "resolve", "promiseId": "a", "value": 5},
            {"op": "peek", "promiseId": "b"},
        ]
    },
)
_STREAM: Final = DescribedResponse(
    "server-sent events: the outcome of each promise, once it is there. A comment says "
    "that all are watched",
    ref("Event"),
    media_type=EVENT_STREAM,
)
WATCH: Final = About(
    summary="Wait for many promises",
    topic="Many at once",
    replies={200: _STREAM},
    body=ref("Watch"),
    examples={"two promises": {"promiseIds": ["approve-17", "approve-18"]}},
)
WATCH_BY_GET: Final = replace(WATCH, body=None, examples={}, parameters=WATCHED)

HEALTH: Final = About(
    summary="Tell whether the store answers, and nothing else",
    topic="The server",
    replies={200: DescribedResponse("it does"), 503: DescribedResponse("it does not")},
)
FIRST_STEPS: Final = About(
    summary="Tell where things are; a browser gets the board of promises",
    topic="The server",
    replies={
        200: DescribedResponse(
            "what to ask next",
            {"type": "object", "additionalProperties": {"type": "string"}},
        )
    },
    failures=frozenset({401}),
)
OPENAPI: Final = About(
    summary="Describe all this",
    topic="The server",
    replies={200: DescribedResponse("this document", {"type": "object"})},
)
METRICS: Final = About(
    summary="Tell how much is done, and how long it takes",
    topic="The server",
    replies={
        200: DescribedResponse(
            "the text form of Prometheus, or OpenMetrics where that is asked for",
            {"type": "string"},
            media_type="text/plain",
        )
    },
)
