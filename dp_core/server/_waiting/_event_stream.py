"""`STREAM_HEADERS`: what all event streams of the server have in common."""

from __future__ import annotations

from typing import Final

from dp_core.server._routing import Header
from dp_core.wire import EVENT_STREAM

__all__ = ["COMMENT_SECONDS", "STREAM_HEADERS"]

COMMENT_SECONDS: Final = 15.0
"""Seconds between two comments; proxies cut what is silent for longer."""

STREAM_HEADERS: Final[tuple[Header, ...]] = (
    (b"content-type", EVENT_STREAM.encode()),
    # By which nginx, and others since, know not to buffer a response.
    (b"x-accel-buffering", b"no"),
)
"""Headers of an event stream, besides those of every response."""
