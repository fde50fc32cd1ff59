"""
Hooks of schemathesis, by which no request of its waits for what nobody does.

Loaded by it from ``SCHEMATHESIS_HOOKS``. A wait for a promise would be held until
somebody settles it, and so would an event stream. And three things are valid that no
schema can say: a cursor is what a page has told, a deadline is in the calendar, and a
server calls hosts that its operator has named.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any
from urllib.parse import unquote, urlsplit

import schemathesis

import dp_core as dp

__all__ = ["before_call"]

MOST = 1000
"""The most calls of a batch."""

CENTURY = 3e9
"""Seconds; a deadline after the year 9999 is refused."""


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Bound deadlines, settle what is waited for, leave out made-up cursors."""
    path = case.operation.path
    if path == "/promise/create" and isinstance(case.body, dict):
        deadline = case.body.get("deadline")
        if isinstance(deadline, float | int) and abs(deadline) > CENTURY:
            case.body["deadline"] = CENTURY
        if _are_urls(case.body.get("notify")):
            case.body["notify"] = None
    if path == "/promises" and case.query:
        case.query.pop("after", None)
    if path == "/watch" or path.endswith("/await"):
        _settle(case.operation.base_url, list(_texts(case)))


def _are_urls(value: object) -> bool:
    """Tell whether these may be called by a server, though not by this one."""
    return (
        isinstance(value, list)
        and len(value) <= dp.MAX_CALLBACKS
        and all(re.fullmatch(r"(?i)https?://.{1,2040}", str(url)) for url in value)
    )


def _texts(case: Any) -> Iterator[str]:
    """Yield all texts of a request, of which ids are some."""
    # Numbers and arrays, too, are made a segment of a path.
    yield from map(unquote, case.formatted_path.split("/"))
    left = [case.query, case.body]
    while left:
        match left.pop():
            case str(text):
                yield text
            case dict(members):
                left += members.values()
            case list(items):
                left += items


def _settle(server: str, ids: list[str]) -> None:
    at = urlsplit(server)
    connection = HTTPConnection(at.hostname or "", at.port, timeout=60)
    sent = {
        "Content-Type": "application/json",
        "Authorization": f"Bearer {os.environ.get('DP_TOKEN', '')}",
    }
    for start in range(0, len(ids), MOST):
        some = ids[start : start + MOST]
        calls = [{"op": "resolve", "promiseId": id} for id in some]
        connection.request("POST", "/batch", json.dumps(calls), sent)
        connection.getresponse().read()
    connection.close()
