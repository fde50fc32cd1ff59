"""`List`: a question for what a store holds; its query string, and its answer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, final
from urllib.parse import parse_qsl, urlencode

from dp_core._errors import (
    CodecError,
    CorruptPromiseError,
    DurablePromiseError,
    InvalidQueryError,
    ProtocolError,
)
from dp_core._terms import Page, Query
from dp_core._text import quoted
from dp_core.values import decode, encode, split_array
from dp_core.wire._terms import read_info, split, write_info

__all__ = ["MAX_LIMIT", "List", "read_page", "read_query", "write_page", "write_query"]

MAX_LIMIT: Final = 1000
"""The most promises of one answer."""

_DEFAULT_LIMIT: Final = 100

_MEMBERS: Final = ("state", "tag", "prefix", "after", "limit", "newest")


@final
@dataclass(frozen=True, slots=True)
class List:
    """Ask for promises that were created or settled; see `dp_core.backend.Registry`."""

    query: Query
    after: str | None = None
    limit: int = _DEFAULT_LIMIT


def write_query(call: List) -> str:
    """Return the query string that asks for a page; its ``ids`` are not in it."""
    query = call.query
    members: list[tuple[str, str]] = []
    if query.state is not None:
        members.append(("state", query.state))
    members += [("tag", f"{key}:{value}") for key, value in query.tags.items()]
    if query.prefix:
        members.append(("prefix", query.prefix))
    if call.after is not None:
        members.append(("after", call.after))
    members.append(("limit", str(call.limit)))
    if query.newest:
        members.append(("newest", "true"))
    return urlencode(members)


def read_query(text: str) -> List:
    """
    Return what a query string asks for; the inverse of `write_query`.

    Raises:
        ProtocolError: It is not one, or has members that it cannot have (400).
        InvalidQueryError: No promise can be found by this.
    """
    try:
        # Blank values are kept: a tag may be empty.
        pairs = parse_qsl(
            text,
            keep_blank_values=True,
            strict_parsing=bool(text),
            errors="strict",
            max_num_fields=1000,
        )
    except ValueError as error:
        raise ProtocolError(400, f"the query is not a valid one: {error}") from None
    single: dict[str, str] = {}
    tags: dict[str, str] = {}
    for key, value in pairs:
        if key not in _MEMBERS:
            raise ProtocolError(
                400,
                f"unknown: {quoted(key)}; a query may have "
                f"{', '.join(map(repr, _MEMBERS))}",
            )
        if key == "tag":
            tag, _, of = value.partition(":")
            if "=" in tag:
                raise InvalidQueryError(
                    f"{quoted(value)} is not a valid tag of a query; write KEY:VALUE, "
                    "such as tag=order:17"
                )
            if tags.setdefault(tag, of) != of:
                raise ProtocolError(400, f"the tag {quoted(tag)} is there twice")
        elif key in single:
            raise ProtocolError(400, f"{key!r} is there twice")
        else:
            single[key] = value
    query = Query(
        state=single.get("state"),  # type: ignore[arg-type] # checked by it
        tags=tags,
        prefix=single.get("prefix", ""),
        newest=_truth(single.get("newest", "false")),
    )
    return List(query, single.get("after"), _limit(single.get("limit")))


def _truth(text: str) -> bool:
    if text not in ("true", "false"):
        raise ProtocolError(400, f"'newest' is true or false, not {quoted(text)}")
    return text == "true"


def _limit(text: str | None) -> int:
    if text is None:
        return _DEFAULT_LIMIT
    if _NUMBER.fullmatch(text) and 1 <= int(text) <= MAX_LIMIT:
        return int(text)
    raise ProtocolError(
        400, f"'limit' is a number from 1 to {MAX_LIMIT:,}, not {quoted(text)}"
    )


# A number of a million digits costs a second.
_NUMBER: Final = re.compile(r"[0-9]{1,9}")


def write_page(page: Page, failures: Mapping[str, str]) -> bytes:
    """
    Return a page as a JSON object.

    Args:
        page: The page.
        failures: What to say of those that cannot be read, by their ids.
    """
    infos = b",".join(write_info(info) for info in page.infos)
    failed = b""
    if failures:
        failed = b',"failures":%b' % encode(
            [{"promiseId": id, "message": why} for id, why in failures.items()]
        )
    return b'{"promises":[%b],"after":%b%b}' % (infos, encode(page.after), failed)


def read_page(text: bytes) -> Page:
    """
    Return the page that a JSON object says; the inverse of `write_page`.

    Raises:
        ProtocolError: It does not say one (400).
    """
    members = split(text)
    try:
        infos = tuple(
            read_info(info, len(info)) for info in split_array(members["promises"])
        )
        after = decode(members.get("after", b"null"))
        failures = [
            (str(one["promiseId"]), CorruptPromiseError(str(one["message"])))
            for one in decode(members.get("failures", b"[]"))
        ]
    except (CodecError, KeyError, TypeError, DurablePromiseError) as error:
        raise ProtocolError(400, f"not a page of promises: {error}") from None
    if not isinstance(after, str | None):
        raise ProtocolError(400, "'after' is not a string")
    return Page(infos, after, tuple(failures))
