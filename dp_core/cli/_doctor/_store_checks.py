"""`check_store`: a store, by the checks of its backend, or else by one look."""

from __future__ import annotations

from collections.abc import AsyncIterator
from secrets import token_hex
from typing import Final

import anyio

from dp_core._client import connect
from dp_core._errors import BackendError, DurablePromiseError, UnknownBackendError
from dp_core._text import quoted, without_password
from dp_core.backend import (
    Backend,
    Check,
    Checkable,
    Located,
    MadeOnUse,
    Registry,
    wait_or_peek,
)

__all__ = ["check_store"]

_SECONDS: Final = 10.0
"""The longest time for the one look."""


async def check_store(url: str) -> AsyncIterator[Check]:
    """
    Yield what is found about a store.

    Raises:
        DurablePromiseError: The backend fails.
    """
    try:
        promises = connect(url)
    except UnknownBackendError as error:
        shown = quoted(without_password(error.url), 200)
        yield Check("store", "problem", f"{shown} is not a store", error.reason)
        return
    except DurablePromiseError as error:
        yield Check.failed("store", error, "name another store")
        return
    async with promises:
        backend = promises.backend
        look = backend.check() if isinstance(backend, Checkable) else _look(backend)
        async for check in look:
            yield check


async def _look(backend: Backend) -> AsyncIterator[Check]:
    """Yield what any backend can say."""
    where = quoted(without_password(_location(backend)), 200)
    try:
        with anyio.fail_after(_SECONDS):
            is_made = not isinstance(backend, MadeOnUse) or await backend.is_made()
            if is_made:
                # An id that nobody has: a look at it says nothing of anybody.
                await wait_or_peek(backend, f"dp-doctor-{token_hex(16)}", 0)
    except TimeoutError:
        yield Check(
            "store",
            "problem",
            f"{where} has not answered in {_SECONDS:g} s",
            "look whether it is up, and what it waits for",
        )
        return
    except BackendError as error:
        yield Check.failed("store", error, "look at what the error names")
        return
    if not is_made:
        yield Check(
            "store",
            "warning",
            f"there is no store at {where} yet",
            "look whether the URL is right; the first settle makes the store",
        )
        return
    yield Check("store", "ok", f"{where} answers; its backend has no checks of its own")
    if not isinstance(backend, Registry):
        yield Check(
            "terms",
            "warning",
            "the store keeps outcomes only",
            "do without deadlines, tags and lists there, or move to another store",
        )


def _location(backend: Backend) -> str:
    return backend.location if isinstance(backend, Located) else "the store"
