"""Types of values: which library reads and writes a type, and how it does."""

from dp_core.values._typed._choice import value_type
from dp_core.values._typed._contract import ValueType

__all__ = ["ValueType", "value_type"]
