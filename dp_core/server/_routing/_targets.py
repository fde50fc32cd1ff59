"""`path_of`, `query_of`: the target of a request, from its ASGI scope."""

from __future__ import annotations

from urllib.parse import quote, unquote

from starlette.types import Scope

from dp_core._errors import ProtocolError

__all__ = ["path_of", "query_of"]


def path_of(scope: Scope) -> str:
    """Return the path below where the app is mounted, percent-encoded."""
    # Bytes that are not UTF-8 are refused where the id is read.
    raw: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    path = raw.partition(b"?")[0].decode(errors="surrogateescape")
    root = scope.get("root_path", "").rstrip("/")
    if root:
        # Servers agree that the path begins with the root, and do not all do so.
        parts = path.split("/")
        depth = root.count("/") + 1
        if unquote("/".join(parts[:depth])) == root:
            return "/".join(["", *parts[depth:]])
    return path


def query_of(scope: Scope) -> str:
    """
    Return the query string of a request.

    Raises:
        ProtocolError: It is not text (400).
    """
    try:
        # Some clients leave letters as they are, which are then in UTF-8.
        return str(scope["query_string"].decode())
    except UnicodeDecodeError:
        raise ProtocolError(400, "the query is not UTF-8") from None
