"""`check_tags`, `check_name`: texts by which promises are found and settlers named."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Final

from dp_core._errors import InvalidTermsError
from dp_core._text import quoted, shown

__all__ = [
    "MAX_TAGS",
    "MAX_TAG_BYTES",
    "RESERVED",
    "check_name",
    "check_tags",
    "is_reserved",
    "is_text",
    "refuse_reserved",
]

MAX_TAGS: Final = 32
"""The most tags of a promise."""

MAX_TAG_BYTES: Final = 256
"""The longest key or value of a tag, and name of a settler, in bytes of UTF-8."""

RESERVED: Final = "dp."
"""The beginning of the keys of the library's own tags."""


def check_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """
    Return the tags, by their keys in order.

    At most `MAX_TAGS`; keys and values of at most `MAX_TAG_BYTES`, without NUL. A key
    is not empty and has no ":", "=" or control characters.

    Raises:
        InvalidTermsError: They are others.
    """
    if not isinstance(tags, Mapping):
        raise InvalidTermsError(
            f"tags are a mapping of strings, such as {{'order': '17'}}, "
            f"not {shown(tags)}"
        )
    if len(tags) > MAX_TAGS:
        raise InvalidTermsError(f"{len(tags):,} tags are over the limit of {MAX_TAGS}")
    for key, value in tags.items():
        check_name(key, "the key of a tag")
        check_name(value, f"the value of the tag {quoted(key)}", may_be_empty=True)
        if any(c in ":=" or unicodedata.category(c) == "Cc" for c in key):
            raise InvalidTermsError(
                f"the key of a tag, {quoted(key)}, has ':', '=' or a control "
                "character in it"
            )
    return dict(sorted(tags.items()))


def refuse_reserved(tags: Mapping[str, str]) -> None:
    """
    Refuse tags that are the library's own.

    Raises:
        InvalidTermsError: One of them is.
    """
    if mine := [key for key in tags if is_reserved(key)]:
        raise InvalidTermsError(
            f"the tag {quoted(mine[0])} begins with {RESERVED!r}, as the library's own "
            "do; choose another key"
        )


def is_reserved(key: str) -> bool:
    """Tell whether the key of a tag is the library's own."""
    return key.startswith(RESERVED)


def check_name(name: object, what: str, *, may_be_empty: bool = False) -> str:
    """
    Return a text if it can be a part of a tag, or name a settler.

    Args:
        name: The text.
        what: Names it in the error.
        may_be_empty: Whether an empty one is allowed.

    Raises:
        InvalidTermsError: It is not Unicode text of at most `MAX_TAG_BYTES`.
    """
    if not isinstance(name, str):
        raise InvalidTermsError(
            f"{what} is not a string: {shown(name)}; write it as one, such as '17'"
        )
    if not is_text(name):
        raise InvalidTermsError(f"{what} has a lone surrogate in it")
    size = len(name.encode())
    if size > MAX_TAG_BYTES:
        raise InvalidTermsError(
            f"{what} has {size:,} bytes, over the limit of {MAX_TAG_BYTES}"
        )
    if not (name or may_be_empty):
        raise InvalidTermsError(f"{what} is empty")
    if "\0" in name:
        raise InvalidTermsError(f"{what} has NUL in it")
    return name


def is_text(text: str) -> bool:
    """Tell whether a string is Unicode text, without lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
