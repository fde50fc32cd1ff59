"""
`find_change`: a part of a value that would be read as something else.

``str | date`` is written as text, and text is read as ``str``; of two models with the
same fields the first is read; a secret is written as stars; a moment in a part that is
``Any`` stays text. msgspec and pydantic do all of it in silence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from datetime import datetime, time, timedelta
from typing import Any, Final

from dp_core._text import shown, type_name
from dp_core.values._places import json_path, key_step

__all__ = ["find_change", "say_change", "say_place"]


def find_change(value: Any, back: Any) -> tuple[list[str], str] | None:
    """
    Return the first part that came back as something else, and what is wrong.

    What is plain JSON in *value* may come back as anything: whoever writes the JSON of
    a value means the value.

    Args:
        value: A value.
        back: What was read of its text.

    Returns:
        The way to the part, outermost first, as parts of a JSONPath, and the reason.
    """
    return next(_changes(value, back), None)


def say_change(way: list[str], reason: str) -> str:
    """Return what `find_change` found as a sentence."""
    return f"{reason}{say_place(way)}"


def say_place(way: list[str]) -> str:
    """Return where it is, as msgspec says it; "" for the value itself."""
    return f" - at `{json_path(way)}`" if way else ""


def _changes(value: Any, back: Any) -> Iterator[tuple[list[str], str]]:
    if reason := _reason(value, back):
        yield [], reason
    else:
        parts = _parts(back)
        for step, part in _parts(value).items():
            if step in parts:
                for way, why in _changes(part, parts[step]):
                    yield [step, *way], why


def _parts(value: Any) -> dict[str, Any]:
    """Return what a value is made of, by steps of a JSONPath."""
    if isinstance(value, dict):
        return {key_step(str(key)): part for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return {f"[{index}]": part for index, part in enumerate(value)}
    for mark, names_of in _OBJECTS.items():
        if hasattr(type(value), mark):
            names = names_of(type(value))
            return {key_step(name): getattr(value, name, None) for name in names}
    return {}


def _names_of_fields(model: Any) -> Iterable[str]:
    return [name for name, field in model.model_fields.items() if not field.exclude]


_OBJECTS: Final[dict[str, Callable[[Any], Iterable[str]]]] = {
    "__pydantic_fields__": lambda kind: (
        kind.__dataclass_fields__
        if hasattr(kind, "__dataclass_fields__")
        else _names_of_fields(kind)
    ),
    "__struct_fields__": lambda kind: kind.__struct_fields__,
    "__attrs_attrs__": lambda kind: [field.name for field in kind.__attrs_attrs__],
    "__dataclass_fields__": lambda kind: [field.name for field in fields(kind)],
}
"""Marks of the classes whose objects have parts, and the names of these."""


def _reason(value: Any, back: Any) -> str:
    """Return what is wrong with a value as a whole; "" for nothing."""
    # Nothing is imported to know a secret of pydantic's.
    if hasattr(value, "get_secret_value"):
        return "" if value == back else "a secret is written as stars, and is lost"
    if isinstance(value, dict) and isinstance(back, dict):
        for key in value:
            if key not in back and not isinstance(key, str):
                return f"the key {shown(key)} would be read as something else"
    if isinstance(value, (datetime, time)) and value != back and _is_odd(value):
        return "its offset from UTC has seconds, which text has not"
    if isinstance(value, (*_JSON, type(back))) or isinstance(back, type(value)):
        return ""
    names = type_name(type(value)), type_name(type(back))
    return f"{names[0]} would be read as {names[1]}"


def _is_odd(moment: datetime | time) -> bool:
    """Tell whether its time zone is not a number of minutes away, as in 1880."""
    return bool((moment.utcoffset() or timedelta()) % timedelta(minutes=1))


_JSON: Final = (type(None), bool, int, float, str, list, tuple, dict)
