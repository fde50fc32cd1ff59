"""
Text that comes from others.

================= ============================================================
``_safe_to_show`` escaped, shortened, without passwords
``_decoding``     as it comes out of a file or a pipe, whatever tool wrote it
================= ============================================================
"""

from dp_core._text._decoding import decode_text
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
    "repr_of",
    "shortened",
    "shown",
    "type_name",
    "visible",
    "without_password",
]
