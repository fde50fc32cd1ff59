"""Members of queries, paths and heads, as OpenAPI has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from dp_core._terms import MAX_TAGS
from dp_core.server._routing._about import Schema
from dp_core.server._routing._describing._schemas import STATE, array, ref
from dp_core.wire import MAX_LIMIT, MAX_WATCHED_BY_GET

__all__ = ["LIST", "PREFER", "WATCHED", "in_path"]

_TEXT: Final[Schema] = {"type": "string"}
_TAG: Final = r"^[^:=\u0000-\u001f\u007f-\u009f]+:[^\u0000]*$"


def _query(name: str, says: str, schema: Schema, **more: Any) -> Mapping[str, Any]:
    return {"name": name, "in": "query", "description": says, "schema": schema, **more}


def in_path(name: str) -> Mapping[str, Any]:
    """Return the parameter of a path, percent-encoded."""
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": "the id of the promise, percent-encoded",
        "schema": ref("Id"),
        "example": "approve-17",
    }


PREFER: Final[Mapping[str, Any]] = {
    "name": "Prefer",
    "in": "header",
    "description": "`wait=SECONDS` (RFC 7240): answer 202 when that time is over; "
    "other preferences are not heard",
    "schema": _TEXT,
    "example": "wait=30",
}

LIST: Final = (
    _query("state", "in this state", STATE),
    _query(
        "tag",
        "with this tag, as KEY:VALUE; of several, with all",
        array({"type": "string", "pattern": _TAG}, MAX_TAGS),
        style="form",
        explode=True,
        example=["kind:approval"],
    ),
    _query("prefix", "whose ids begin with this", _TEXT, example="approve-"),
    _query("newest", "newest first", {"type": "boolean"}),
    _query("after", "after this cursor, which the page before has told", _TEXT),
    _query(
        "limit",
        "so many at most",
        {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": 100},
    ),
)

WATCHED: Final = (
    _query(
        "promiseId",
        "the id of a promise",
        array(ref("Id"), MAX_WATCHED_BY_GET, minItems=1, uniqueItems=True),
        style="form",
        explode=True,
        required=True,
        example=["approve-17"],
    ),
)
