"""
Looking at promises: as many in one hop to a worker thread as come together.

A hop costs five times what it takes to read a small file. So callers that come
while a hop is under way, or in the same turn of the event loop, are looked
after together by the next one, which one of them makes for all; and those who
ask for the same promise, by one look. Nobody waits for company: alone, one
makes a hop alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

import anyio
from anyio import CapacityLimiter, to_thread
from anyio.lowlevel import checkpoint

from dp_backends.file._store import FileStore, View

__all__ = ["Answer", "Looks", "look_at"]

Answer = View | Exception
"""What a look came to; an error is for those alone who asked for that promise."""

_BATCH: Final = 256


def look_at(store: FileStore, id: str) -> Answer:
    """Look at one promise; never raises."""
    try:
        return store.look(id)
    except Exception as error:  # noqa: BLE001 - see `Answer`
        return error


@dataclass(eq=False, slots=True)
class _Look:
    """One caller's question."""

    store: FileStore
    id: str
    answer: Answer | None = None
    event: anyio.Event | None = None

    async def moved(self) -> None:
        """Wait until it is answered, or ours to make a hop."""
        self.event = anyio.Event()
        await self.event.wait()

    def move(self) -> None:
        """Wake who waits for that."""
        if self.event is not None:
            self.event.set()


@final
class Looks:
    """All looks of one event loop that may hold each other up."""

    def __init__(self) -> None:
        self._waiting: dict[_Look, None] = {}
        # One at a time: two would leave each other less to do together.
        self._is_hopping = False
        self._limiter = CapacityLimiter(1)

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
                if not self._is_hopping and look in self._waiting:
                    await self._hop()
                else:
                    await look.moved()
        finally:
            self._waiting.pop(look, None)
            self._hand_over()
        if isinstance(look.answer, Exception):
            raise look.answer
        return look.answer

    async def _hop(self) -> None:
        self._is_hopping = True
        batch: list[_Look] = []
        answers: list[Answer] = []

        def work() -> None:
            found: dict[tuple[FileStore, str], Answer] = {}
            for look in batch:
                asked = look.store, look.id
                # An error is raised with a traceback, and so for one caller only.
                if not isinstance(found.get(asked), View):
                    found[asked] = look_at(*asked)
                answers.append(found[asked])

        try:
            # Whoever else is ready to ask in this turn of the loop comes along.
            await checkpoint()
            batch = list(self._waiting)[:_BATCH]
            for look in batch:
                del self._waiting[look]
            await to_thread.run_sync(work, limiter=self._limiter)
        finally:
            self._is_hopping = False
            # A copy: a thread that asyncio's own cancellation left goes on.
            given = tuple(answers)
            for look, answer in zip(batch, given, strict=False):
                look.answer = answer
                look.move()
            # Cancelled before the thread had begun: somebody else will ask.
            for look in batch[len(given) :]:
                self._waiting[look] = None

    def _hand_over(self) -> None:
        if not self._is_hopping:
            for look in self._waiting:
                look.move()
                return
