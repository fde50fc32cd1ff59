"""`connect`, `durable_promise`, blocking: from a store URL, or none, to a handle."""

from __future__ import annotations

from typing import Any, TypeVar, overload

from dp_core import _client
from dp_core._client import StoreUrl
from dp_core._type_form import TypeForm
from dp_core.sync._client._promises import Promises
from dp_core.sync._promise import DurablePromise
from dp_core.values import MAX_VALUE_BYTES

__all__ = ["connect", "durable_promise"]

T = TypeVar("T")


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
    made = _client.connect(url)
    return Promises(made.backend, made.url, max_value_bytes=max_value_bytes)


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
    return DurablePromise(_client.durable_promise(id, url, type))
