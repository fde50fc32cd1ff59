"""
`MsgspecType`: types of which msgspec knows every part.

Its decoder is made for any type, and fails only when such a value comes; so the parts
are looked at one by one, when the type is given.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, final

import msgspec
from msgspec import inspect

from dp_core._errors import InvalidValueError, ValueMismatchError
from dp_core._text import described, shortened, type_name, visible
from dp_core.values._limits import TOO_DEEP
from dp_core.values._read_json import decode
from dp_core.values._typed._annotations import owners
from dp_core.values._typed._changes import find_change, say_change
from dp_core.values._typed._value_type import NotTakenError
from dp_core.values._write_json import Draft, draft

__all__ = ["MsgspecType"]


@final
class MsgspecType:
    """
    A type that msgspec reads and writes.

    Args:
        type_: The type.

    Raises:
        NotTakenError: msgspec does not know all of it.
    """

    __slots__ = ("_has_keys", "_is_plain", "_may_change", "_type")

    def __init__(self, type_: Any) -> None:
        for mark in owners(type_):
            if mark.owner == "pydantic":
                raise NotTakenError(f"{mark.name} is pydantic's")
        try:
            info = inspect.type_info(type_)
        except NameError as error:
            raise NotTakenError(
                f"{described(error)}; names in a type are looked up in its module, so "
                "define it there and not in a function"
            ) from None
        except Exception as error:  # noqa: BLE001 - code of the type may run
            raise NotTakenError(described(error)) from None
        parts = list(_parts(info, set()))
        for part in parts:
            _check(part)
        keys = [part.key_type for part in parts if isinstance(part, inspect.DictType)]
        self._type = type_
        self._is_plain = all(isinstance(part, _PLAIN) for part in parts)
        self._may_change = not self._is_plain and any(
            isinstance(part, _CHANGING) for part in parts
        )
        self._has_keys = any(not isinstance(key, _TEXT_KEYS) for key in keys)

    def draft(self, value: Any, limit: int) -> Draft:
        """Return the text of *value*, see `ValueType.draft`."""
        if self._is_plain and not self._has_keys:
            # Stricter, and at half the cost: what is not JSON is refused.
            return draft(value, limit)
        try:
            plain = msgspec.to_builtins(value, str_keys=self._has_keys)
        except RecursionError:
            raise InvalidValueError("$", TOO_DEEP) from None
        except Exception as error:  # noqa: BLE001 - code of the value may run
            raise self._mismatch(described(error)) from None
        return draft(plain, limit)

    def check(self, value: Any, back: Any) -> None:
        """Refuse a value that would be read as something else, see `ValueType`."""
        if self._may_change and (found := find_change(value, back)):
            raise self._mismatch(say_change(*found))

    def read(self, text: bytes) -> Any:
        """Return the value of JSON text, see `ValueType.read`."""
        value = decode(text)
        try:
            return msgspec.convert(value, self._type, str_keys=self._has_keys)
        except msgspec.ValidationError as error:
            raise self._mismatch(shortened(visible(str(error)), 300)) from None
        except Exception as error:  # noqa: BLE001 - code of the type may run
            raise self._mismatch(
                f"this type cannot be decoded: {described(error)}"
            ) from None

    def _mismatch(self, reason: str) -> ValueMismatchError:
        return ValueMismatchError(type_name(self._type), reason)


def _parts(info: Any, seen: set[int]) -> Iterator[Any]:
    """Yield a type and all types that it is made of; one that holds itself, once."""
    if id(info) in seen:
        return
    seen.add(id(info))
    yield info
    for name in _BELOW.get(type(info), ()):
        below = getattr(info, name)
        for part in below if isinstance(below, tuple) else (below,):
            yield from _parts(
                part.type if isinstance(part, inspect.Field) else part, seen
            )


def _check(part: Any) -> None:
    """
    Refuse a part that msgspec knows by name only.

    Raises:
        NotTakenError: It is one.
    """
    if isinstance(part, inspect.CustomType):
        raise NotTakenError(f"it does not know {type_name(part.cls)}")
    if type(part) not in _KNOWN:
        raise NotTakenError(f"it has no JSON for {type(part).__name__}")
    if isinstance(part, inspect.DictType) and not _is_key(part.key_type):
        raise NotTakenError("not every key of a dict in it can be told from text")


def _is_key(info: Any) -> bool:
    if isinstance(info, inspect.Metadata):
        return _is_key(info.type)
    if isinstance(info, inspect.LiteralType):
        # As text, 1 and "1" are the same.
        return len({type(value) for value in info.values}) == 1
    return isinstance(info, _KEYS)


_BELOW: Final[dict[type, tuple[str, ...]]] = {
    inspect.Metadata: ("type",),
    inspect.UnionType: ("types",),
    inspect.ListType: ("item_type",),
    inspect.SetType: ("item_type",),
    inspect.FrozenSetType: ("item_type",),
    inspect.VarTupleType: ("item_type",),
    inspect.TupleType: ("item_types",),
    inspect.DictType: ("key_type", "value_type"),
    inspect.TypedDictType: ("fields",),
    inspect.NamedTupleType: ("fields",),
    inspect.DataclassType: ("fields",),
    inspect.StructType: ("fields",),
}
"""Types that are made of others, and the names of these."""

_TEXT_KEYS: Final = (inspect.AnyType, inspect.StrType)
"""Keys that are text as they are."""

_KEYS: Final = (
    *_TEXT_KEYS,
    inspect.IntType,
    inspect.FloatType,
    inspect.DecimalType,
    inspect.DateType,
    inspect.DateTimeType,
    inspect.TimeType,
    inspect.TimeDeltaType,
    inspect.UUIDType,
    inspect.BytesType,
    inspect.EnumType,
)
"""Keys that are read from the text as which JSON has them."""

_PLAIN: Final = (
    inspect.Metadata,
    inspect.AnyType,
    inspect.NoneType,
    inspect.BoolType,
    inspect.IntType,
    inspect.FloatType,
    inspect.StrType,
    inspect.LiteralType,
    inspect.UnionType,
    inspect.ListType,
    inspect.VarTupleType,
    inspect.TupleType,
    inspect.NamedTupleType,
    inspect.DictType,
    inspect.TypedDictType,
)
"""Types whose values are JSON as they are."""

_CHANGING: Final = (inspect.AnyType, inspect.DateTimeType, inspect.TimeType)
"""Types of which not every value can be told from its text."""

_KNOWN: Final = frozenset(
    {
        *_BELOW,
        *_KEYS,
        *_PLAIN,
        inspect.ByteArrayType,
        inspect.MemoryViewType,
    }
)
"""Types that msgspec reads as it writes them."""
