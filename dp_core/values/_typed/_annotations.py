"""`owners`: parts of a type that one library alone understands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import (
    Annotated,
    Any,
    Final,
    Literal,
    final,
    get_args,
    get_origin,
    get_type_hints,
)

from dp_core._text import type_name

__all__ = ["Mark", "owners"]


@final
@dataclass(frozen=True, slots=True)
class Mark:
    """
    A part of a type that only one library honours; the others would pass it over.

    Attributes:
        owner: The library: "pydantic" or "msgspec".
        name: The part.
    """

    owner: str
    name: str


def owners(type_: Any) -> Iterator[Mark]:
    """
    Yield the parts of a type that belong to one library.

    These are the classes that say how pydantic reads them, and the marks of an
    ``Annotated``. Without this, msgspec would take a dataclass of pydantic's for any
    other and leave out its validators. Nothing is imported for it.
    """
    return _owners(type_, set())


def _owners(type_: Any, seen: set[int]) -> Iterator[Mark]:
    # By identity: a mark of an Annotated may have no hash.
    if id(type_) in seen:
        return
    seen.add(id(type_))
    origin = get_origin(type_)
    if origin is Literal:
        return
    if origin is Annotated:
        yield from map(_mark, type_.__metadata__)
        yield from _owners(type_.__origin__, seen)
        return
    for below in get_args(type_):
        # The arguments of a Callable are a list.
        for part in below if isinstance(below, list) else (below,):
            yield from _owners(part, seen)
    for name in ("__supertype__", "__value__"):
        if (below := getattr(type_, name, None)) is not None:
            yield from _owners(below, seen)
    kind = type_ if origin is None else origin
    if isinstance(kind, type) and kind.__module__ != "builtins":
        yield from _owners_in(kind, seen)


def _owners_in(kind: type, seen: set[int]) -> Iterator[Mark]:
    """Yield those of a class and of its fields."""
    if hasattr(kind, "__struct_fields__"):
        yield Mark("msgspec", type_name(kind))
    elif any(hasattr(kind, name) for name in _OF_PYDANTIC):
        yield Mark("pydantic", type_name(kind))
        return
    try:
        hints = get_type_hints(kind, include_extras=True)
    except Exception:  # noqa: BLE001 - who takes the type will find the same, and say so
        return
    for hint in hints.values():
        yield from _owners(hint, seen)


def _mark(mark: Any) -> Mark:
    module = type(mark).__module__.partition(".")[0]
    if hasattr(mark, "__get_pydantic_core_schema__"):
        module = "pydantic"
    name = f"{type_name(type(mark))} of an Annotated"
    return Mark(_LIBRARIES.get(module, ""), name)


_LIBRARIES: Final = {
    "annotated_types": "pydantic",
    "msgspec": "msgspec",
    "pydantic": "pydantic",
    "pydantic_core": "pydantic",
}
"""Packages whose marks mean something, and the library that honours them."""

_OF_PYDANTIC: Final = (
    "__get_pydantic_core_schema__",
    "__pydantic_config__",
    "__pydantic_validator__",
)
"""Names in a class by which pydantic reads it in a way of its own."""
