"""
`ReadBatcher`: reads that come together share a hop to a worker thread.

A hop costs five times what it takes to read a small file. So reads that arrive
while a hop is under way are batched into the next one; one caller makes it for
all. Reads of the same promise share one result. A read that is alone is not
delayed to wait for others.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import islice
from typing import Final, TypeAlias, final

from anyio import CapacityLimiter
from anyio.lowlevel import checkpoint

from dp_backends.file._layout import Place
from dp_backends.file._reading import View
from dp_backends.file._store import FileStore
from dp_core.backend import Follower, LeaderFollowers, in_thread

__all__ = ["Finding", "ReadBatcher", "look_at_all"]

Finding: TypeAlias = View | Exception
"""The result of a look, or its error, which concerns that promise alone."""

_BATCH: Final = 256


@final
class ReadBatcher:
    """The reads of one store in one event loop; ``len()`` is how many there are."""

    def __init__(self, store: FileStore) -> None:
        self._store = store
        self._readers: LeaderFollowers[Place, View] = LeaderFollowers(self._read_batch)
        self._limiter = CapacityLimiter(1)

    def __len__(self) -> int:
        return len(self._readers)

    async def read(self, place: Place) -> View:
        """
        Return what `FileStore.look_at` returns.

        Raises:
            BackendError: As `FileStore.look_at` does.
        """
        return await Follower(self._readers, place).join()

    async def _read_batch(self, leader: Follower[Place, View]) -> None:
        # Let others that are ready in this turn of the event loop come along.
        await checkpoint()
        batch = tuple(islice(self._readers, _BATCH))
        places = {reader.request for reader in batch}
        findings = await in_thread(self._look_at_all, places, limiter=self._limiter)
        for reader in batch:
            finding = findings[reader.request]
            if isinstance(finding, Exception):
                reader.set_exception(finding)
            else:
                reader.set_result(finding)

    def _look_at_all(self, places: Collection[Place]) -> dict[Place, Finding]:
        findings = look_at_all((self._store, place) for place in places)
        return dict(zip(places, findings, strict=True))


def look_at_all(places: Iterable[tuple[FileStore, Place]]) -> list[Finding]:
    """Look at each place; return an error in the place of its view."""
    return [_look_at(store, place) for store, place in places]


def _look_at(store: FileStore, place: Place) -> Finding:
    try:
        return store.look_at(place)
    except Exception as error:  # noqa: BLE001 - see `Finding`
        return error
