"""
`value_type`: which library takes a type.

msgspec takes a type of which it knows every part, whatever else is installed; so a
value is written in one form everywhere. All others are pydantic's, where it is
installed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, ForwardRef, NewType, NoReturn, TypeVar, get_origin

from dp_core._errors import InvalidTypeError
from dp_core._text import repr_of, shown, type_name
from dp_core.values._typed._value_type import NotTakenError, ValueType

__all__ = ["value_type"]


def value_type(type_: Any) -> ValueType[Any]:
    """
    Return how values of a type are written and read.

    Args:
        type_: Any type that msgspec or pydantic takes, but not `typing.Any`.

    Raises:
        InvalidTypeError: It is not a type, or neither library takes it.
    """
    try:
        # Equal ones may differ: int | str and str | int, which is tried first.
        return _known(type_, "" if isinstance(type_, type) else repr_of(type_))
    except TypeError as error:
        # No hash: the mark of an Annotated may be anything.
        if isinstance(error, InvalidTypeError):
            raise
        return _chosen(type_)


def _chosen(type_: Any) -> ValueType[Any]:
    for is_one, reason in _NO_TYPES:
        if is_one(type_):
            raise InvalidTypeError(shown(type_), reason)
    try:
        return _by_msgspec(type_)
    except NotTakenError as error:
        reason = f"msgspec cannot read it ({error.reason})"
    try:
        return _by_pydantic(type_)
    except ImportError:
        _refuse(
            type_,
            f"{reason}, and pydantic, which may, is not installed in a version from "
            "2.13 on; pip install 'durable-promises[pydantic]', or",
        )
    except NotTakenError as error:
        _refuse(type_, f"{reason}, nor can pydantic ({error.reason});")


_known: Final = lru_cache(maxsize=512)(lambda type_, spelling: _chosen(type_))


def _refuse(type_: Any, reason: str) -> NoReturn:
    raise InvalidTypeError(
        type_name(type_),
        f"{reason} use a dataclass, a TypedDict, a msgspec Struct or a pydantic model "
        "of types that JSON can hold",
    )


def _by_msgspec(type_: Any) -> ValueType[Any]:
    from dp_core.values._typed._msgspec import MsgspecType  # noqa: PLC0415 - heavy

    return MsgspecType(type_)


def _by_pydantic(type_: Any) -> ValueType[Any]:
    from dp_core.values._typed._pydantic import PydanticType  # noqa: PLC0415 - optional

    return PydanticType(type_)


def _is_text(thing: Any) -> bool:
    return isinstance(thing, (str, ForwardRef))


def _is_open(thing: Any) -> bool:
    return isinstance(thing, TypeVar)


def _is_no_type(thing: Any) -> bool:
    return not (
        thing is None
        or isinstance(thing, (type, NewType))
        or get_origin(thing) is not None
        # An alias of the statement "type"; before Python 3.12, of typing_extensions.
        or type(thing).__name__ == "TypeAliasType"
    )


_NO_TYPES: Final[tuple[tuple[Callable[[Any], bool], str], ...]] = (
    (_is_text, "it is text; write the type itself, without quotes"),
    (_is_open, "it is a type variable; write the type that it stands for"),
    (_is_no_type, "it is not a type; write a class, or a type such as list[int]"),
)
"""Things that are given as a type, and what is wrong with them."""
