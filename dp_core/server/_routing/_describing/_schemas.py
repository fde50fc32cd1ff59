"""`SCHEMAS`: the forms of the bodies of requests and answers, as JSON Schema."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final, get_args

from dp_core._ids import MAX_ID_BYTES
from dp_core._terms import (
    MAX_CALLBACKS,
    MAX_TAG_BYTES,
    MAX_TAGS,
    MAX_URL_BYTES,
    RESERVED,
    StateName,
)
from dp_core.server._routing._about import Schema
from dp_core.wire import MAX_BATCH_CALLS, MAX_WATCHED

__all__ = ["SCHEMAS", "STATE", "TERMS", "array", "ref", "struct"]


def ref(name: str) -> Schema:
    """Return a schema that is another one of `SCHEMAS`."""
    return {"$ref": f"#/components/schemas/{name}"}


def struct(
    members: Mapping[str, Schema], *, needs: Collection[str] | None = None
) -> Schema:
    """
    Return the schema of an object with these members, and no others.

    Args:
        members: Their schemas.
        needs: Members that must be there; None for all.
    """
    return {
        "type": "object",
        "properties": dict(members),
        "required": list(members if needs is None else needs),
        "additionalProperties": False,
    }


def array(items: Schema, most: int | None = None, **more: Any) -> Schema:
    """Return the schema of an array."""
    bound = {} if most is None else {"maxItems": most}
    return {"type": "array", "items": items, **bound, **more}


def _or_null(schema: Schema) -> Schema:
    return {"oneOf": [schema, {"type": "null"}]}


STATE: Final[Schema] = {"enum": list(get_args(StateName))}
_MOMENT: Final[Schema] = {
    "type": "string",
    "format": "date-time",
    "description": "a moment as RFC 3339 has it, with its zone",
}
_TEXT: Final[Schema] = {"type": "string"}
_OUTCOMES: Final[Mapping[str, Schema]] = {
    "value": struct({"value": ref("Value")}),
    "error": struct({"error": ref("Message")}),
}
_CALLED: Final[Schema] = {
    "type": "string",
    "format": "uri",
    "pattern": "^[Hh][Tt][Tt][Pp][Ss]?://",
    "maxLength": MAX_URL_BYTES,
}
TERMS: Final[Mapping[str, Schema]] = {
    "deadline": _or_null(ref("Deadline")),
    "otherwise": _or_null(ref("Outcome")),
    "tags": _or_null(ref("Tags")),
    "data": ref("Value"),
    "notify": _or_null(
        {
            "description": "URLs that the server calls once the promise is settled, "
            "of hosts that its operator has named",
            **array(_CALLED, MAX_CALLBACKS),
        }
    ),
}
"""Members of a request that gives a promise its terms."""

_KNOWN: Final[Mapping[str, Schema]] = {
    "promiseId": ref("Id"),
    "state": STATE,
    "value": ref("Value"),
    "error": ref("Message"),
    "deadline": _or_null(_MOMENT),
    "otherwise": _or_null(ref("Outcome")),
    "tags": _or_null(ref("Tags")),
    "data": ref("Value"),
    "createdAt": _or_null(_MOMENT),
    "settledAt": _or_null(_MOMENT),
    "settledBy": _or_null(ref("Name")),
    "expired": {"type": "boolean"},
    "cursor": _or_null(_TEXT),
    "notify": {
        "description": "URLs that are called, where there are some; only for who may "
        "create this promise",
        **array(_CALLED, MAX_CALLBACKS),
    },
}

SCHEMAS: Final[Mapping[str, Schema]] = {
    "Id": {
        "description": f"the id of a promise: at most {MAX_ID_BYTES:,} bytes of UTF-8, "
        "without NUL",
        "type": "string",
        "minLength": 1,
        "maxLength": MAX_ID_BYTES,
        "pattern": r"^[^\u0000]+$",
    },
    "Value": {
        "description": "any JSON, of at most 1 MiB (or what the server was told) and "
        "128 levels",
    },
    "Message": {"description": "the error message of a rejection", "type": "string"},
    "Name": {
        "description": "who settles, or has settled",
        "type": "string",
        "minLength": 1,
        "maxLength": MAX_TAG_BYTES,
        "pattern": r"^[^\u0000]+$",
    },
    "Outcome": {
        "description": "what a promise was settled to",
        "oneOf": list(_OUTCOMES.values()),
    },
    "State": {
        "description": "null while the promise is pending, else its outcome",
        "oneOf": [{"type": "null"}, *_OUTCOMES.values()],
    },
    "Tags": {
        "description": "what the promise can be found by; keys have no `:`, `=` or "
        f"controls, and do not begin with `{RESERVED}`; {MAX_TAG_BYTES} bytes each",
        "type": "object",
        "maxProperties": MAX_TAGS,
        "propertyNames": {
            "minLength": 1,
            "maxLength": MAX_TAG_BYTES,
            "pattern": r"^[^:=\u0000-\u001f\u007f-\u009f]+$",
        },
        "additionalProperties": {
            "type": "string",
            "maxLength": MAX_TAG_BYTES,
            "pattern": r"^[^\u0000]*$",
        },
    },
    "Deadline": {
        "description": "when the promise is settled by itself: a moment, or seconds "
        "from now by the server's clock",
        "oneOf": [_MOMENT, {"type": "number"}],
    },
    "Info": {
        **struct(
            _KNOWN, needs=[key for key in _KNOWN if key not in {*_OUTCOMES, "notify"}]
        ),
        "description": "all that is known about a promise; null where there is none",
    },
    "Page": struct(
        {
            "promises": array(ref("Info")),
            "after": {
                **_or_null(_TEXT),
                "description": "what to ask for next; null at the end",
            },
            "failures": array(struct({"promiseId": _TEXT, "message": _TEXT})),
        },
        needs=("promises", "after"),
    ),
    "Batch": array(
        {
            "anyOf": [
                ref("BatchedCall"),
                {"description": "anything else is answered by a failure in its place"},
            ]
        },
        MAX_BATCH_CALLS,
    ),
    "BatchedCall": {
        "description": "a call with the members that it has alone",
        "type": "object",
        "properties": {
            "op": {"enum": ["peek", "resolve", "reject", "dispose", "create", "info"]},
            "promiseId": ref("Id"),
        },
        "required": ["op", "promiseId"],
    },
    "BatchAnswer": array(
        struct(
            {
                "status": {"type": "integer", "minimum": 200, "maximum": 599},
                "body": {"description": "the body of the answer; null for none"},
            }
        )
    ),
    "Watch": struct(
        {"promiseIds": array(ref("Id"), MAX_WATCHED, minItems=1, uniqueItems=True)}
    ),
    "Event": {
        "description": "one of server-sent events, for each promise once it is settled",
        "type": "object",
        "properties": {
            "data": {
                "type": "string",
                "contentMediaType": "application/json",
                "contentSchema": {
                    "oneOf": [
                        struct({"promiseId": ref("Id"), **members})
                        for members in (
                            {"value": ref("Value")},
                            {"error": ref("Message")},
                            {"disposed": {"const": True}},
                            {"ask": {"const": True}},
                        )
                    ]
                },
            }
        },
        "required": ["data"],
    },
    "Failure": struct({"code": {"type": "integer"}, "message": _TEXT, "type": _TEXT}),
}
"""The schemas that the document names, by their names."""
