"""
Text that comes from others.

================= ============================================================
``_safe_to_show`` escaped, shortened, without passwords
``_decoding``     as it comes out of a file or a pipe, whatever tool wrote it
``_numbers``      numbers, in digits from 0 to 9
================= ============================================================
"""

from dp_core._text._decoding import decode_text
from dp_core._text._numbers import read_number, read_whole
from dp_core._text._safe_to_show import (
    coloured,
    described,
    for_terminal,
    quoted,
    repr_of,
    shortened,
    shown,
    type_name,
    visible,
    without_password,
)

__all__ = [
    "coloured",
    "decode_text",
    "described",
    "for_terminal",
    "quoted",
    "read_number",
    "read_whole",
    "repr_of",
    "shortened",
    "shown",
    "type_name",
    "visible",
    "without_password",
]
