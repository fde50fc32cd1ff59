"""`connect`, `durable_promise`: from a store URL, or none, to a handle."""

from __future__ import annotations

import os
from typing import Any, Final, TypeAlias, TypeVar, overload
from urllib.parse import quote

from dp_core._client._promises import Promises
from dp_core._plugins import open_backend
from dp_core._promise import DurablePromise
from dp_core._type_form import TypeForm
from dp_core.values import MAX_VALUE_BYTES

__all__ = ["DEFAULT_URL", "StoreUrl", "connect", "default_url", "durable_promise"]

T = TypeVar("T")

StoreUrl: TypeAlias = str | os.PathLike[str]
"""A store URL, or the path of a directory."""

DEFAULT_URL: Final = "file:./promises"
"""The store URL where neither a URL nor ``DP_URL`` is given: a directory here."""


def default_url() -> str:
    """Return ``DP_URL`` of the environment, else `DEFAULT_URL`."""
    return os.environ.get("DP_URL") or DEFAULT_URL


def connect(
    url: StoreUrl | None = None, *, max_value_bytes: int = MAX_VALUE_BYTES
) -> Promises:
    """
    Return a handle on the store that *url* names, without I/O.

    Args:
        url: A store URL such as ``memory:``, ``file:./promises`` or
            ``http://host:8080``, or the path of a directory as a `pathlib.Path`;
            by default `default_url`.
        max_value_bytes: The largest value to settle with, in bytes of its JSON.

    Raises:
        UnknownBackendError: No installed plugin knows the URL's scheme; or it is empty.
        DuplicateBackendError: Two plugins claim it.
    """
    if isinstance(url, os.PathLike):
        # "./" keeps a path that begins with "~" or "//" what it is.
        path = quote(os.fspath(url), safe="/")
        url = f"file:{path if path.startswith('/') else f'./{path}'}"
    url = default_url() if url is None else url
    return Promises(open_backend(url), url, max_value_bytes=max_value_bytes)


@overload
def durable_promise(id: str, url: StoreUrl | None = None) -> DurablePromise[Any]: ...
@overload
def durable_promise(
    id: str, url: StoreUrl | None, type: type[T]
) -> DurablePromise[T]: ...
@overload
def durable_promise(id: str, *, type: type[T]) -> DurablePromise[T]: ...
@overload
def durable_promise(
    id: str, url: StoreUrl | None, type: TypeForm[T]
) -> DurablePromise[T]: ...
@overload
def durable_promise(id: str, *, type: TypeForm[T]) -> DurablePromise[T]: ...
def durable_promise(
    id: str, url: StoreUrl | None = None, type: Any = Any
) -> DurablePromise[Any]:
    """
    Return a handle on one promise: the short way.

    All promises made this way share one handle for each store, which lives as
    long as the process. The store is the one that the URL names at this moment: a
    relative path, a link, or ``DP_URL`` may name another one at the next call.

    Raises:
        InvalidPromiseIdError: *id* cannot name a promise.
        InvalidTypeError: No value can be kept as this type.
        UnknownBackendError: No installed plugin knows the URL's scheme.
    """
    here = connect(url)
    # The URL may have options, which do not name another store.
    return _SHARED.setdefault((here, here.url), here).promise(id, type)


_SHARED: Final[dict[tuple[Promises, str], Promises]] = {}
"""The handles of `durable_promise`; equal ones are on one store."""
