"""JSON objects by their members: `split`, `write_object`, and what a member says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from dp_core._errors import CodecError, ProtocolError
from dp_core.values import decode, split_object

__all__ = ["NULL", "Members", "given", "split", "text_of", "truth_of", "write_object"]

NULL: Final = b"null"

Members = Mapping[str, bytes]
"""The members of an object, each as the text that it came with."""


def write_object(members: Members) -> bytes:
    """Return an object of these members."""
    # Keys are ours, and plain.
    return b"{%b}" % b",".join(
        b'"%b":%b' % (key.encode(), text) for key, text in members.items()
    )


def split(text: bytes) -> Members:
    """
    Return the members of a JSON object, each as the text that it came with.

    Raises:
        ProtocolError: It is not one (400).
    """
    try:
        return split_object(text)
    except CodecError as error:
        raise ProtocolError(400, f"not a JSON object: {error}") from None


def given(members: Members, key: str) -> bytes | None:
    """Return the text of a member; None if it is not there, or null."""
    text = members.get(key, NULL)
    return None if text == NULL else text


def text_of(members: Members, key: str) -> str | None:
    """Return the string that a member is; None if it is not there, or null."""
    text = given(members, key)
    if text is None:
        return None
    if not text.startswith(b'"'):
        raise ProtocolError(400, f"{key!r} is not a string")
    return str(decode(text))


def truth_of(members: Members, key: str) -> bool:
    """Tell whether a member is true."""
    text = members.get(key, b"false")
    if text not in (b"true", b"false"):
        raise ProtocolError(400, f"{key!r} is not true or false")
    return text == b"true"
