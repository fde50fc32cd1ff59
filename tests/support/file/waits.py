"""Waits in a directory, as tests see them."""

from __future__ import annotations

import anyio

from dp_backends.file._watching import WATCHERS

LIMIT = 30.0
"""Seconds after which a test that should have gone on has failed."""


async def joined(waiters: int) -> None:
    """Return when so many waiters have seen the promise pending."""
    watcher = WATCHERS.get()
    with anyio.fail_after(LIMIT):
        while waiters != watcher.stats().waiting:  # noqa: ASYNC110 - there is no event for that
            # Not a bare checkpoint: a loop that spins starves the threads that look.
            await anyio.sleep(0.001)
