"""
Types of values: which library reads and writes a type, and how it does.

================ ===================================================
``_value_type``  `ValueType`, the type of a promise's values
``_choice``      which library takes a type
``_pydantic``    types by pydantic; ``_schemas`` has bytes as base64
``_msgspec``     types of which msgspec knows every part
``_annotations`` parts of a type that one library alone understands
``_changes``     a value that would be read as another one
================ ===================================================
"""

from dp_core.values._typed._choice import value_type
from dp_core.values._typed._value_type import ValueType

__all__ = ["ValueType", "value_type"]
