"""Pieces of responses as they travel, and what a new reader makes of them."""

from __future__ import annotations

from dp_backends.http._responses import HttpResponse, ResponseReader
from support.http._answers import raw_answer

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\n"
NULL = raw_answer(200, b"null")
EARLY = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def read(data: bytes, piece: int = 2**20) -> HttpResponse | None:
    """Return what a new reader makes of *data*, fed in pieces of so many bytes."""
    reader = ResponseReader()
    read = None
    for start in range(0, len(data), piece):
        assert read is None
        read = reader.feed(data[start : start + piece])
    return read
