"""`path_of`, `below`, `query_of`: the target of a request, from its ASGI scope."""

from __future__ import annotations

from urllib.parse import quote, unquote

from starlette.types import Scope

from dp_core._errors import ProtocolError

__all__ = ["below", "path_of", "query_of"]


def path_of(scope: Scope) -> str:
    """Return the path below where the app is mounted, percent-encoded."""
    # Bytes that are not UTF-8 are refused where the id is read.
    raw: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    path = raw.partition(b"?")[0].decode(errors="surrogateescape")
    # Servers agree that the path begins with the root, and do not all do so.
    return below(path, scope.get("root_path", "").rstrip("/"))


def below(path: str, root: str) -> str:
    """
    Return the rest of a path that begins with a root, any other one as it is.

    Args:
        path: The path, percent-encoded.
        root: The root, decoded, without a slash at its end; empty for none.
    """
    if root:
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
