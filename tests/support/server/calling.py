"""Callbacks of a store, made in this event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import anyio
from anyio import to_thread

import dp_core as dp
from dp_core.server._callbacks import Callbacks
from dp_core.server._observing import Notices
from support.server.receivers import Received, Receiver

__all__ = ["SECRET", "Calls", "calling", "deliveries", "until"]

SECRET: Final = "a secret that is long enough to sign"  # noqa: S105 - of tests


@dataclass(frozen=True)
class Calls:
    """A handle on a store, and the callbacks that are made from it."""

    promises: dp.Promises
    callbacks: Callbacks

    async def next(self, receiver: Receiver) -> Received:
        """Return the next request that a receiver gets."""
        return await to_thread.run_sync(receiver.next, abandon_on_cancel=True)

    async def finished(self, id: str) -> list[dp.State[Any]]:
        """Return the outcomes of all deliveries of a promise, once they are there."""
        return [
            await self.promises.backend.wait(each.id)
            for each in await deliveries(self.promises)
            if each.terms is not None and id == each.terms.tags["dp.of"]
        ]


async def deliveries(promises: dp.Promises) -> list[dp.PromiseInfo[Any]]:
    """Return all deliveries of a store."""
    return [info async for info in promises.list(tags={"dp.kind": "delivery"})]


@asynccontextmanager
async def calling(
    url: str,
    *allowed: str,
    secrets: Sequence[str] = (SECRET,),
    resolve: Callable[[str, int], Awaitable[Sequence[str]]] | None = None,
) -> AsyncIterator[Calls]:
    """Make the callbacks of a store until the block ends."""

    async def known() -> Sequence[str]:
        return secrets

    async with dp.connect(url) as promises:
        callbacks = Callbacks(
            promises.backend, allowed or ["127.0.0.1"], known, Notices(), resolve
        )
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(callbacks.run)
            try:
                yield Calls(promises, callbacks)
            finally:
                tasks.cancel_scope.cancel()


async def until(is_so: Callable[[], object]) -> None:
    """Return once something is so."""
    while not is_so():  # noqa: ASYNC110 - nobody says when
        await anyio.sleep(0.001)
