"""Answers of a server, right and wrong, as they travel."""

from __future__ import annotations

import json
from typing import Final

RESTATE_DISPOSED: Final = (
    500,
    b'{"code":500,"message":"promise was disposed","source":"invocation"}',
)
"""The answer of the reference to a wait for a promise that is disposed of."""


def http_answer(status: int, body: bytes = b"{}", *headers: bytes) -> bytes:
    """Return an answer as it travels, as JSON unless a header says otherwise."""
    if body and not any(
        header.lower().startswith(b"content-type") for header in headers
    ):
        headers = (*headers, b"Content-Type: application/json")
    return raw_answer(status, body, *headers)


def raw_answer(status: int, body: bytes = b"{}", *headers: bytes) -> bytes:
    """Return a response with these headers only, and a length."""
    head = [b"HTTP/1.1 %d X" % status, b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def failure(status: int, message: str = "because", *headers: bytes) -> bytes:
    """Return a failure in the wire's form, as it travels."""
    body = json.dumps({"code": status, "message": message, "type": "X"})
    return http_answer(status, body.encode(), *headers)


def page(status: int, text: str = "page not found", *headers: bytes) -> bytes:
    """Return a page of a gateway, as it travels."""
    html = f"<html><head><title>{text}</title></head></html>".encode()
    return http_answer(status, html, b"Content-Type: text/html", *headers)
