"""
`find_change`: a part of a value that would be read as something else.

``UUID | str`` is written as text, and text is read as ``str``; a secret is written as
stars. Pydantic does both in silence.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any, Final

from pydantic import Secret, SecretBytes, SecretStr

from dp_core._safe_text import shown, type_name
from dp_core.values._places import key_step

__all__ = ["find_change"]


def find_change(value: Any, back: Any) -> tuple[list[str], str] | None:
    """
    Return the first part that came back as something else, and what is wrong.

    What is plain JSON in *value* may come back as anything: whoever writes the JSON of
    a value means the value.

    Args:
        value: A value, its models as dictionaries.
        back: What was read of its text, in the same way.

    Returns:
        The way to the part, outermost first, as parts of a JSONPath, and the reason.
    """
    return next(_changes(value, back), None)


def _changes(value: Any, back: Any) -> Iterator[tuple[list[str], str]]:
    if isinstance(value, dict) and isinstance(back, dict):
        yield from _changed_keys(value, back)
        pairs = ((key_step(str(key)), key) for key in value if key in back)
        parts = [(step, value[key], back[key]) for step, key in pairs]
    elif isinstance(value, (list, tuple)) and isinstance(back, (list, tuple)):
        numbered = enumerate(zip(value, back, strict=False))
        parts = [(f"[{index}]", *both) for index, both in numbered]
    else:
        reason = _reason(value, back)
        if reason:
            yield [], reason
        return
    inner = (_below(step, *both) for step, *both in parts)
    yield from chain.from_iterable(inner)


def _changed_keys(value: Any, back: Any) -> Iterator[tuple[list[str], str]]:
    for key in value:
        if key not in back and not isinstance(key, str):
            yield [], f"the key {shown(key)} would be read as something else"


def _below(step: str, value: Any, back: Any) -> Iterator[tuple[list[str], str]]:
    for way, reason in _changes(value, back):
        yield [step, *way], reason


def _reason(value: Any, back: Any) -> str:
    """Return what is wrong with a part that has no parts; "" for nothing."""
    if isinstance(value, _SECRETS):
        return "" if value == back else "a secret is written as stars, and is lost"
    if isinstance(value, _JSON) or isinstance(back, type(value)):
        return ""
    if isinstance(value, type(back)):
        return ""
    names = type_name(type(value)), type_name(type(back))
    return f"{names[0]} would be read as {names[1]}"


_JSON: Final = (type(None), bool, int, float, str, list, tuple, dict)
_SECRETS: Final = (Secret, SecretBytes, SecretStr)
