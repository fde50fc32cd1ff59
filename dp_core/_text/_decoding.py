"""`decode_text`: bytes from a file or a pipe as text, whatever tool wrote them."""

from __future__ import annotations

import codecs
from typing import Final

__all__ = ["decode_text"]

_WIDE: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, b"\0")


def decode_text(raw: bytes) -> str:
    """
    Return the text in *raw*, which is UTF-8, with or without a byte order mark.

    Line ends of Windows (CR LF) become those of everybody else (LF).

    Raises:
        ValueError: It is not UTF-8; the error says what to do.
    """
    if raw.startswith(_WIDE) or raw[1:2] == b"\0":
        raise ValueError(
            "it is UTF-16, and not UTF-8; in PowerShell write it with "
            "'Out-File -Encoding utf8', elsewhere convert it with iconv"
        )
    try:
        text = raw.removeprefix(codecs.BOM_UTF8).decode()
    except UnicodeDecodeError as error:
        reason = error.reason
    else:
        return text.replace("\r\n", "\n")
    raise ValueError(f"it is not UTF-8: {reason}")
