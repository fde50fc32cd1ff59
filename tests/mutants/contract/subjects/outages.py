"""Mutants whose waits do not outlive what passes."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from dp_core import BackendUnavailableError
from mutants.contract.registry import mutant
from mutants.contract.right import Outcome_, Right, Store


def open_a_file() -> None:
    """Do what a look at a file, or at a server, needs a descriptor for."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        raise BackendUnavailableError(str(error)) from error


class Looking(Right):
    """Looks again every 50 ms. A base class, not a mutant."""

    async def wait(self, id: str) -> Outcome_:
        await self.turn()
        entry = self.store.entry(id)
        while not entry.over.is_set():
            with anyio.move_on_after(0.05):
                await entry.over.wait()
            self.look_again()
        return entry.result(id)

    def look_again(self) -> None:
        """Raise what a look at the store raises."""


@mutant(
    "waits-outlive-too-many-open-files",
    "polls whose first error is the end: this project's file store, until it had a law",
    alone=True,
)
class GivesUpWithoutFiles(Looking):
    """A wait ends with an error when a look at the store finds no descriptor."""

    def look_again(self) -> None:
        open_a_file()


@mutant("waits-outlive-too-many-open-files", "inotify_init(2) and EMFILE")
class NoFileNoWait(Right):
    """A wait that begins while there is no descriptor raises an error."""

    async def wait(self, id: str) -> Outcome_:
        open_a_file()
        return await super().wait(id)


@mutant(
    "waits-outlive-an-outage",
    "clients that hand the error of a poll to all who wait",
    alone=True,
)
class WaitsFailWithTheStore(Looking):
    """A wait ends with an error when the store cannot be asked."""

    def look_again(self) -> None:
        if self.store.away:
            raise BackendUnavailableError("away")


@mutant("waits-outlive-an-outage", "subscriptions that a broker forgets by restarting")
class SubscribesOnce(Right):
    """A store that was away has forgotten who waits, and nobody asks again."""

    class _Store(Store):
        @asynccontextmanager
        async def outage(self) -> AsyncIterator[None]:
            async with super().outage():
                yield
                for entry in self.entries.values():
                    entry.over = anyio.Event()

    store_type = _Store


@mutant("waits-outlive-an-outage", "circuit breakers that are open: nobody may wait")
class RefusesToWaitMeanwhile(Right, ends_waits=False):
    """A wait that begins while the store is away raises an error."""

    async def wait(self, id: str) -> Outcome_:
        await self.turn()
        return await super().wait(id)
