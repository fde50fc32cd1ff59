"""`PydanticType`: types that pydantic reads and writes, with bytes as base64."""

from __future__ import annotations

import re
from dataclasses import is_dataclass
from typing import Any, Final, final

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import SchemaSerializer, SchemaValidator

from dp_core._errors import ValueMismatchError
from dp_core._text import described, shortened, type_name, visible
from dp_core.values._places import key_step
from dp_core.values._read_json import decode
from dp_core.values._typed._annotations import owners
from dp_core.values._typed._changes import find_change, say_change, say_place
from dp_core.values._typed._schemas import with_base64
from dp_core.values._typed._value_type import NotTakenError
from dp_core.values._write_json import Draft, draft

__all__ = ["PydanticType"]


@final
class PydanticType:
    """
    A type that pydantic reads and writes.

    Args:
        type_: The type.

    Raises:
        NotTakenError: pydantic cannot do it.
    """

    __slots__ = ("_class", "_serializer", "_type", "_validator")

    def __init__(self, type_: Any) -> None:
        for mark in owners(type_):
            if mark.owner == "msgspec":
                raise NotTakenError(f"{mark.name} is msgspec's")
        try:
            adapter = TypeAdapter(type_)
            ours = with_base64(adapter.core_schema)
            if ours is adapter.core_schema:
                self._validator = adapter.validator
                self._serializer = adapter.serializer
            else:
                # What was built before is that of the classes, without our base64.
                self._validator = SchemaValidator(ours, _use_prebuilt=False)
                self._serializer = SchemaSerializer(ours, _use_prebuilt=False)
        except NotTakenError:
            raise
        except Exception as error:  # noqa: BLE001 - code of the type may run
            # Further lines are advice about pydantic's own settings.
            text = shortened(visible(str(error).partition("\n")[0]), 200)
            raise NotTakenError(re.split(r"; |\. Set ", text)[0]) from None
        self._type = type_
        is_object = isinstance(type_, type) and (
            is_dataclass(type_) or issubclass(type_, BaseModel)
        )
        self._class: type = type_ if is_object else object

    def draft(self, value: Any, limit: int) -> Draft:
        """Return the text of *value*, see `ValueType.draft`."""
        if not isinstance(value, self._class):
            # Pydantic would take any object that has attributes of these names.
            return draft(value, limit)
        try:
            plain = self._serializer.to_python(value, **_WRITING)
        except Exception as error:  # noqa: BLE001 - serializers of the type may run
            raise self._mismatch(f"it cannot be written: {described(error)}") from None
        return draft(plain, limit)

    def check(self, value: Any, back: Any) -> None:
        """Refuse a value that would be read as something else, see `ValueType`."""
        if found := find_change(value, back):
            raise self._mismatch(say_change(*found))

    def read(self, text: bytes) -> Any:
        """Return the value of JSON text, see `ValueType.read`."""
        # It is looser with JSON than we are, and reads some types from text only.
        decode(text)
        try:
            return self._validator.validate_json(text, **_READING)
        except ValidationError as error:
            raise self._mismatch(_reason(error)) from None
        except Exception as error:  # noqa: BLE001 - validators of the type may run
            raise self._mismatch(
                f"this type cannot be decoded: {described(error)}"
            ) from None

    def _mismatch(self, reason: str) -> ValueMismatchError:
        return ValueMismatchError(type_name(self._type), reason)


_WRITING: Final[dict[str, Any]] = {
    "mode": "json",
    "by_alias": True,
    # Without what is computed from the rest: it could not be read.
    "round_trip": True,
    # Whether it is of the type is said when it is read back.
    "warnings": "none",
}
_READING: Final[dict[str, Any]] = {"by_alias": True, "by_name": True}


def _reason(error: ValidationError) -> str:
    """Return what is wrong with a value, and where, on one line."""
    first, *others = error.errors(
        include_url=False, include_context=False, include_input=False
    )
    reason = shortened(visible(" ".join(first["msg"].split())), 300)
    way = [
        f"[{step}]" if isinstance(step, int) else key_step(step)
        for step in first["loc"]
    ]
    more = f", and {len(others)} more" if others else ""
    return f"{reason}{say_place(way)}{more}"
