"""`registry_of`, `info_of`: a backend asked for terms, which not every one keeps."""

from __future__ import annotations

from dp_core._errors import NotSupportedError
from dp_core._terms import PromiseInfo
from dp_core._text import quoted, without_password
from dp_core.backend import Backend, Registry

__all__ = ["info_of", "registry_of"]


def registry_of(backend: Backend, url: str) -> Registry:
    """
    Return a backend as one that keeps terms.

    Raises:
        NotSupportedError: It is not one.
    """
    if isinstance(backend, Registry):
        return backend
    raise NotSupportedError(
        f"the store {quoted(without_password(url))} keeps outcomes only: no terms, and "
        "no list of its promises; peek, get, resolve, reject and dispose work"
    )


async def info_of(backend: Backend, id: str) -> PromiseInfo[bytes]:
    """Return all that a store knows of a promise; its state, if it keeps no terms."""
    if isinstance(backend, Registry):
        try:
            return await backend.info(id)
        except NotSupportedError:
            # A server that keeps outcomes only.
            pass
    return PromiseInfo(id, await backend.peek(id))
