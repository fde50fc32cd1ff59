"""Errors of streams, and the ports of listeners."""

from __future__ import annotations

from typing import Final

import anyio
from anyio import TypedAttributeProvider
from anyio.abc import SocketAttribute

CUT: Final = (
    anyio.EndOfStream,
    anyio.BrokenResourceError,
    anyio.ClosedResourceError,
    OSError,
)
"""Errors by which a stream says that its connection has ended."""


def port_of(listener: TypedAttributeProvider) -> int:
    """Return the port at which a listener listens."""
    port: int = listener.extra(SocketAttribute.local_port)  # noqa: S610 - anyio's
    return port
