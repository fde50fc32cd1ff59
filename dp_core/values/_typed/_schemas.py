"""
`with_base64`: pydantic's schema of a type, in which bytes are base64.

Pydantic writes bytes as if they were UTF-8, unless a model's own settings say
otherwise, and fails where they are not. A schema is pydantic's description of a type,
as dictionaries; see ``pydantic_core.core_schema``.
"""

from __future__ import annotations

import base64
from typing import Any, Final

from pydantic_core import core_schema

from dp_core._text import type_name
from dp_core.values._typed._value_type import NotTakenError

__all__ = ["with_base64"]


def with_base64(schema: Any) -> Any:
    """
    Return a schema with bytes as base64; the same object where there are none.

    Models that say themselves how their bytes are written (``ser_json_bytes``,
    ``val_json_bytes``, a serializer) are left as they are.

    Raises:
        NotTakenError: There is a part that no JSON can be read as.
    """
    return _changed(schema, is_ours=True, is_made=False)


def _changed(schema: Any, *, is_ours: bool, is_made: bool) -> Any:
    """
    Return a schema, changed or the same.

    Args:
        schema: The schema.
        is_ours: Whether bytes in it are to be changed.
        is_made: Whether code of the type makes what it reads, so that anything may
            come there, not only JSON.
    """
    kind = schema["type"]
    if kind in _NEVER_JSON and not is_made:
        what = type_name(schema["cls"]) if "cls" in schema else f"a {kind}"
        raise NotTakenError(f"no JSON can be read as {what}")
    if schema.get("init_only") and schema["schema"]["type"] != "default":
        raise NotTakenError(f"its InitVar {schema['name']} is not kept")
    if "config" in schema:
        is_ours = not _BYTES_SETTINGS & schema["config"].keys()
    if schema.get("serialization", {}).get("type") not in _PASSING_ON:
        is_ours = False
    if kind == "union" and is_ours:
        _refuse_two_texts(schema)
    if kind == "bytes":
        return _base64(schema) if is_ours else schema
    is_made = is_made or kind in _MAKING
    changes = {}
    for name, below in schema.items():
        if name in _NOT_READ:
            continue
        new = _changed_below(name, below, is_ours=is_ours, is_made=is_made)
        if new is not below:
            changes[name] = new
    return {**schema, **changes} if changes else schema


def _changed_below(name: str, below: Any, *, is_ours: bool, is_made: bool) -> Any:
    """Return what is below a name in a schema, changed or the same."""
    new: Any
    match below:
        case {"type": str()} if name not in _BY_NAME:
            return _changed(below, is_ours=is_ours, is_made=is_made)
        case dict() if name in _BY_NAME:
            new = {
                key: _changed_below("", part, is_ours=is_ours, is_made=is_made)
                for key, part in below.items()
            }
            is_same = all(new[key] is part for key, part in below.items())
        case list() | tuple():
            items = [
                _changed_below("", part, is_ours=is_ours, is_made=is_made)
                for part in below
            ]
            new = type(below)(items)
            is_same = all(map(_is, items, below))
        case _:
            return below
    return below if is_same else new


def _refuse_two_texts(union: Any) -> None:
    """
    Refuse bytes beside text: what is base64 by chance would be read as bytes.

    Raises:
        NotTakenError: They are in one union.
    """
    choices = [c[0] if isinstance(c, tuple) else c for c in union["choices"]]
    if {"bytes", "str"} <= {choice["type"] for choice in choices}:
        raise NotTakenError("in a union, bytes cannot be told from str")


def _is(one: Any, other: Any) -> bool:
    return one is other


def _base64(schema: Any) -> Any:
    return core_schema.json_or_python_schema(
        json_schema=core_schema.no_info_before_validator_function(_from_base64, schema),
        python_schema=schema,
        serialization=core_schema.plain_serializer_function_ser_schema(
            _to_base64, when_used="json"
        ),
    )


def _from_base64(text: Any) -> Any:
    if not isinstance(text, str):
        return text
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise ValueError("it is not base64") from None


def _to_base64(value: Any) -> Any:
    if not isinstance(value, bytes):
        return value
    return base64.b64encode(value).decode()


_BYTES_SETTINGS: Final = {"ser_json_bytes", "val_json_bytes"}

_PASSING_ON: Final = (None, "function-wrap")
"""Serializers by which bytes below are still written as they would be without."""

_NEVER_JSON: Final = frozenset(
    {"call", "callable", "generator", "is-instance", "is-subclass"}
)
"""Kinds of schemas that take objects of Python only."""

_MAKING: Final = frozenset({"function-before", "function-plain", "function-wrap"})
"""Kinds of schemas in which a function makes what the schema below it reads."""

_BY_NAME: Final = frozenset({"choices", "fields"})
"""Members of schemas that have schemas by names of the user's."""

_NOT_READ: Final = frozenset(
    {"config", "default", "expected", "metadata", "python_schema", "serialization"}
)
"""Members of schemas that are none, or that are not for JSON."""
