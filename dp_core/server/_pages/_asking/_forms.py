"""
`read_form`, `read_query`: what a person has filled in, as browsers send it.

One media type, ``application/x-www-form-urlencoded``, read by the standard library
within bounds. A field that is there twice, or that a form of ours does not have, was
not sent by a form of ours.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final, TypeAlias
from urllib.parse import parse_qsl, unquote_plus, unquote_to_bytes

from dp_core._errors import ProtocolError
from dp_core._text import quoted

__all__ = [
    "FORM_TYPE",
    "Form",
    "form_bytes",
    "query_without_token",
    "read_form",
    "read_path",
    "read_query",
]

Form: TypeAlias = Mapping[str, str]
"""The fields of a form, each once."""

FORM_TYPE: Final = "application/x-www-form-urlencoded"

_MOST_FIELDS: Final = 100
_BYTES_OF_A_BYTE: Final = 3
"""The length of a byte that is percent-encoded."""


def form_bytes(limit: int) -> int:
    """Return how long a form may be in which there is a value of *limit* bytes."""
    return _BYTES_OF_A_BYTE * limit


def read_form(body: bytes, known: Collection[str]) -> Form:
    """
    Return the fields of a form; its lines end as Python's do.

    Args:
        body: The body of a POST.
        known: The fields that there may be.

    Raises:
        ProtocolError: It is not a form of ours (400).
    """
    try:
        pairs = _pairs(body.decode("ascii"), strict=True) if body else []
    except ValueError as error:
        raise _not_ours(str(error)) from None
    form: dict[str, str] = {}
    for name, value in pairs:
        if name not in known:
            raise _not_ours(f"it has a field {quoted(name)}")
        if name in form:
            raise _not_ours(f"it has the field {quoted(name)} twice")
        # Browsers send every line end as CR and LF (HTML §4.10.22.4).
        form[name] = value.replace("\r\n", "\n").replace("\r", "\n")
    return form


def read_query(text: str) -> list[tuple[str, str]]:
    """
    Return the members of a query string; mail programs may have added some.

    Raises:
        ProtocolError: It is not one (400).
    """
    try:
        return _pairs(text, strict=False)
    except ValueError as error:
        raise ProtocolError(400, f"this address is not a valid one: {error}") from None


def query_without_token(text: str) -> str:
    """Return a query string to go on to, with its ``?``; empty if nothing is left."""
    members = [
        member
        for member in text.split("&")
        if member and unquote_plus(member.partition("=")[0]) != "token"
    ]
    return f"?{'&'.join(members)}" if members else ""


def _pairs(text: str, *, strict: bool) -> list[tuple[str, str]]:
    return parse_qsl(
        text,
        keep_blank_values=True,
        strict_parsing=strict,
        errors="strict",
        max_num_fields=_MOST_FIELDS,
    )


def read_path(name: str) -> str:
    """
    Return the id that a segment of a path says.

    Raises:
        ProtocolError: It says none (400).
    """
    try:
        return unquote_to_bytes(name.encode(errors="surrogateescape")).decode()
    except UnicodeDecodeError:
        raise ProtocolError(400, "this address is not UTF-8") from None


def _not_ours(why: str) -> ProtocolError:
    return ProtocolError(400, f"this is not a form of this server: {why}")
