"""`About`: a row of the table in words and schemas, for a reader."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias, final

__all__ = ["NOTHING", "About", "DescribedResponse", "Schema"]

Schema: TypeAlias = Mapping[str, Any]
"""A JSON Schema, of the dialect 2020-12."""

NOTHING: Final = object()
"""The example of what has none; null is one."""


@final
@dataclass(frozen=True, slots=True)
class DescribedResponse:
    """
    A response that does not say a failure.

    Attributes:
        says: Its meaning, in words.
        schema: The form of its body; None where it has none.
        example: A body.
        media_type: The type of the body.
        headers: Headers that it may have besides, and their meanings.
    """

    says: str
    schema: Schema | None = None
    example: Any = NOTHING
    media_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """
    Words and schemas of a row, for a reader.

    Attributes:
        summary: A sentence without its full stop.
        topic: The heading under which it stands.
        replies: Its responses that do not say failures, and failures of forms of their
            own, by their statuses.
        failures: The statuses of failures in the wire's form, besides those that every
            request may get.
        body: The form of the request's body; None where it needs none.
        needs_body: Whether a request without one is refused.
        examples: Bodies, by what they show.
        parameters: Members of its query and head, as OpenAPI has them.
    """

    summary: str
    topic: str
    replies: Mapping[int, DescribedResponse]
    failures: frozenset[int] = frozenset()
    body: Schema | None = None
    needs_body: bool = True
    examples: Mapping[str, Any] = field(default_factory=dict)
    parameters: tuple[Mapping[str, Any], ...] = ()
