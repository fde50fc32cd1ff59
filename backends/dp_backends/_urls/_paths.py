"""`path_of`: the path that a store URL names."""

from __future__ import annotations

import os
import re
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from dp_core import BackendUnavailableError, UnknownBackendError

__all__ = ["path_of"]


def path_of(url: str, kind: str, example: str) -> str:
    """
    Return the path that a store URL names, absolute and without links.

    Args:
        url: The URL: its scheme and a path, percent-encoded, perhaps after an empty
            host or ``localhost`` (RFC 8089).
        kind: The kind of thing that is there: "directory".
        example: A URL to write.

    Raises:
        UnknownBackendError: It names none.
        BackendUnavailableError: It is relative to a directory that was removed.
    """
    scheme, _, path = url.partition(":")
    host = ""
    if path.startswith("//"):
        host, _, path = path[2:].partition("/")
        path = f"/{path}"
    if host not in ("", "localhost"):
        raise UnknownBackendError(
            url,
            f"a {kind} of this machine has no host {host!r}; for a relative one "
            f"write '{scheme}:./{host}{path}'",
        )
    if "?" in path or "#" in path:
        raise UnknownBackendError(
            url, "it has no options; write ? as %3F and # as %23 in a path"
        )
    if not path:
        raise UnknownBackendError(url, f"it names no {kind}; try {example!r}")
    if path.startswith("~"):
        home, slash, rest = path.partition("/")
        path = f"{quote(os.path.expanduser(home), safe='/~')}{slash}{rest}"
        if path.startswith("~"):
            raise UnknownBackendError(
                url, f"{home!r} is not a valid home; write './~…' for a name with ~"
            )
    try:
        return os.path.realpath(_decoded(url, path))
    except FileNotFoundError:
        raise BackendUnavailableError(
            "the working directory was removed, and the store's path is relative to "
            "it; go to another directory, or write an absolute path"
        ) from None


def _decoded(url: str, path: str) -> str:
    """Return the name that a path of a URL stands for."""
    try:
        raw = unquote_to_bytes(path)
    except UnicodeEncodeError:
        raise UnknownBackendError(url, "it has a lone surrogate in it") from None
    if found := _CONTROL.search(raw):
        raise UnknownBackendError(
            url, f"it has a control character in it ({found[0]!r}); is a line end left?"
        )
    if path != path.strip():
        raise UnknownBackendError(
            url, "it begins or ends with a blank; write it as %20 if it has one"
        )
    return os.fsdecode(raw)


_CONTROL: Final = re.compile(rb"[\0-\x1f\x7f]+|\xc2[\x80-\x9f]")
