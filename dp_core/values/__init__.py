"""
Values and error messages: what can be kept, and its one JSON form.

Disk and wire carry the same bytes: JSON text (RFC 8259) in UTF-8 without
superfluous white space. What JSON cannot hold is refused, and the error names
the place. A tuple is written as an array and comes back as a list.

=============== =======================================
``_write_json`` values as JSON text: what JSON can hold
``_read_json``  JSON text of others: what is taken
``_limits``     how long, and how deep
``_shallow``    the items of an array, one by one
``_equality``   whether two texts say the same
``_typed``      types of values
``_bigints``    integers of thousands of digits
``_places``     where in a value something is wrong
=============== =======================================
"""

from dp_core._public import publish
from dp_core.values._equality import say_the_same
from dp_core.values._limits import MAX_DEPTH, MAX_VALUE_BYTES
from dp_core.values._read_json import (
    check_parsed,
    check_text,
    decode,
    split_array,
    split_object,
    takes_long,
)
from dp_core.values._shallow import split_shallow
from dp_core.values._typed import ValueType, value_type
from dp_core.values._write_json import Draft, check_message, draft, encode

__all__ = [
    "MAX_DEPTH",
    "MAX_VALUE_BYTES",
    "Draft",
    "ValueType",
    "check_message",
    "check_parsed",
    "check_text",
    "decode",
    "draft",
    "encode",
    "say_the_same",
    "split_array",
    "split_object",
    "split_shallow",
    "takes_long",
    "value_type",
]

publish(__name__, __all__)
