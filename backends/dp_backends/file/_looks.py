"""
Looking at promises: as many in one hop to a worker thread as come together.

A hop costs five times what it takes to read a small file. So callers that come
while a hop is under way are looked after together by the next one, which one
of them makes for all. Nobody waits for company: alone, one makes a hop alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, final

import anyio
from anyio import CapacityLimiter, to_thread

from dp_backends.file._store import FileStore, View

__all__ = ["Answer", "Looks", "look_at"]

Answer = View | Exception
"""What a look came to; an error is for those alone who asked for that promise."""

_HOPS: Final = 2
"""At once; more would leave less to do together."""

_BATCH: Final = 256


def look_at(store: FileStore, id: str) -> Answer:
    """Look at one promise; never raises."""
    try:
        return store.look(id)
    except Exception as error:  # noqa: BLE001 - see `Answer`
        return error


@dataclass(eq=False)
class _Look:
    """One caller's question. Its event says: answered, or yours to make a hop."""

    store: FileStore
    id: str
    answer: Answer | None = None
    event: anyio.Event = field(default_factory=anyio.Event)


@final
class Looks:
    """All looks of one event loop."""

    def __init__(self) -> None:
        self._waiting: dict[_Look, None] = {}
        self._hops = 0
        self._limiter = CapacityLimiter(_HOPS)

    async def look(self, store: FileStore, id: str) -> View:
        """
        Return what `FileStore.look` returns.

        Raises:
            BackendError: As `FileStore.look` does.
        """
        look = _Look(store, id)
        self._waiting[look] = None
        try:
            while look.answer is None:
                if self._hops < _HOPS and look in self._waiting:
                    await self._hop()
                else:
                    await look.event.wait()
                    look.event = anyio.Event()
        finally:
            self._waiting.pop(look, None)
            self._hand_over()
        if isinstance(look.answer, Exception):
            raise look.answer
        return look.answer

    async def _hop(self) -> None:
        batch = list(self._waiting)[:_BATCH]
        for look in batch:
            del self._waiting[look]
        answers: list[Answer] = []

        def work() -> None:
            answers.extend(look_at(look.store, look.id) for look in batch)

        self._hops += 1
        try:
            await to_thread.run_sync(work, limiter=self._limiter)
        finally:
            self._hops -= 1
            # A copy: a thread that asyncio's own cancellation left goes on.
            given = tuple(answers)
            for look, answer in zip(batch, given, strict=False):
                look.answer = answer
                look.event.set()
            # Cancelled before the thread had begun: somebody else will ask.
            for look in batch[len(given) :]:
                self._waiting[look] = None

    def _hand_over(self) -> None:
        if self._hops < _HOPS:
            for look in self._waiting:
                look.event.set()
                return
