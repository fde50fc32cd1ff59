"""
`ReadBatcher`: reads that come together share a hop to a worker thread.

A hop costs five times what it takes to read a small file. So reads that arrive
while a hop is under way are batched into the next one; one caller makes it for
all. Reads of the same promise share one result. A read that is alone is not
delayed to wait for others.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from itertools import islice
from typing import Final, TypeAlias, TypeVar, final

from anyio import CapacityLimiter
from anyio.lowlevel import checkpoint

from dp_backends.file._layout import Place
from dp_backends.file._reading import View
from dp_backends.file._store import FileStore
from dp_core.backend import Follower, LeaderFollowers, in_thread, now

__all__ = ["Finding", "ReadBatcher", "look_at_all"]

Finding: TypeAlias = View | Exception
"""The result of a look, or its error, which concerns that promise alone."""

_BATCH: Final = 256

_THREADS: Final = 16

_T = TypeVar("_T")


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
    """
    Look at each place, and settle what is over; return an error in place of its view.

    One after another, because looks do not wait for the disk. What has to be settled
    does: in several threads, so that the file system joins their fsyncs.
    """
    looks = list(places)
    findings = [_look_at(look, settling=False) for look in looks]
    moment = now()
    over = [
        number
        for number, finding in enumerate(findings)
        if isinstance(finding, View) and finding.expiry(moment) is not None
    ]
    settled = _at_once(_look_at, [looks[number] for number in over])
    for number, finding in zip(over, settled, strict=True):
        findings[number] = finding
    return findings


def _look_at(look: tuple[FileStore, Place], *, settling: bool = True) -> Finding:
    store, place = look
    try:
        return store.look_at(place, settling=settling)
    except Exception as error:  # noqa: BLE001 - see `Finding`
        return error


def _at_once(
    function: Callable[[_T], Finding], arguments: Sequence[_T]
) -> list[Finding]:
    """Call a function, which raises nothing, with each argument, several at once."""
    if len(arguments) > 1:
        # Where no thread can be started, one after another.
        with suppress(RuntimeError):
            # Cannot be imported any more when the interpreter is at its end.
            from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415

            with ThreadPoolExecutor(min(_THREADS, len(arguments))) as threads:
                return list(threads.map(function, arguments))
    return [function(argument) for argument in arguments]
