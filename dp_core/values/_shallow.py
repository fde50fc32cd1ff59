"""`split_shallow`: the items of a JSON array, whatever is wrong with one of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from itertools import islice, pairwise
from typing import Any, Final

from dp_core._errors import InvalidValueError

__all__ = ["split_shallow"]


def split_shallow(text: bytes, most: int) -> list[bytes]:
    """
    Return the items of a JSON array, each as the text it came with.

    What is in an item is not checked: each is to be read by itself, so that one that is
    wrong is not in the way of the others.

    Args:
        text: The array.
        most: How many items to return; of more, one too many is returned.

    Raises:
        InvalidValueError: *text* is not an array.
    """
    import msgspec  # noqa: PLC0415 - only batches need it

    # An array of eight megabytes may have four million items.
    if text.count(b",") < _FEW * most:
        with suppress(msgspec.MsgspecError, RecursionError):
            return [bytes(item) for item in _decoder().decode(text)[: most + 1]]
    return _split(text, most)


_FEW: Final = 16
"""Commas for each item, below which it does not matter how many items there are."""


@cache
def _decoder() -> Any:
    import msgspec  # noqa: PLC0415 - only batches need it

    return msgspec.json.Decoder(list[msgspec.Raw])


_TOKEN: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[][{},]', re.DOTALL)
_WHITE_SPACE: Final = b" \t\r\n"


def _split(text: bytes, most: int) -> list[bytes]:
    """Do it by brackets, commas and strings alone."""
    text = text.strip(_WHITE_SPACE)
    ends = list(islice(_ends(text), most + 1))
    is_whole = ends and ends[-1] == len(text) - 1 and text.endswith(b"]")
    if text.startswith(b"[") and (is_whole or ends[most:]):
        items = [
            text[start + 1 : end].strip(_WHITE_SPACE)
            for start, end in pairwise((0, *ends))
        ]
        if items == [b""]:
            return []
        if b"" not in items:
            return items
    raise InvalidValueError("$", "it is not an array")


def _ends(text: bytes) -> Iterator[int]:
    """Yield the place behind each item of an array: of a comma, or of its bracket."""
    depth = 0
    for token in _TOKEN.finditer(text):
        depth += _STEPS.get(token[0], 0)
        if depth < 1 or (depth == 1 and token[0] == b","):
            yield token.start()
        if depth < 1:
            return


_STEPS: Final = {b"[": 1, b"{": 1, b"]": -1, b"}": -1}
