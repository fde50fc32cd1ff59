"""`JointWatch`: promises of several stores that are watched together."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, TypeAlias, final

import anyio
from anyio.lowlevel import checkpoint

from dp_core._errors import PromiseDisposedError
from dp_core._observation import OBSERVERS, Observation
from dp_core._promise import DurablePromise
from dp_core._states import Outcome
from dp_core.backend import Backend, tasks_beside, watch_all

__all__ = ["JointWatch", "News", "watching"]

News: TypeAlias = tuple[int, Outcome[bytes] | PromiseDisposedError]
"""The position of a promise among the arguments, and what is told of it."""

_QUIET: Final = 3
"""
Turns of the event loop without news after which all is told that was there at first.

A watch tells one promise in each turn.
"""


@asynccontextmanager
async def watching(
    promises: Mapping[int, DurablePromise[Any]],
) -> AsyncIterator[JointWatch]:
    """Watch promises, by their positions among the arguments."""
    watch = JointWatch(promises)
    try:
        async with tasks_beside() as group:
            for backend, positions in watch.shares:
                group.start_soon(watch.add, backend, positions)
            yield watch
    finally:
        watch.end()


@final
class JointWatch:
    """
    Promises that are watched, by one watch of each of their backends.

    Attributes:
        shares: The backends, each with ``{id: positions}`` of its promises.
    """

    def __init__(self, promises: Mapping[int, DurablePromise[Any]]) -> None:
        shares: dict[int, tuple[Backend, dict[str, list[int]]]] = {}
        for position, promise in promises.items():
            backend = promise._backend
            _, positions = shares.setdefault(id(backend), (backend, {}))
            positions.setdefault(promise.id, []).append(position)
        self.shares = tuple(shares.values())
        self._unseen = len(shares)
        self._has_begun = False
        self._news: deque[News] = deque()
        self._error: Exception | None = None
        self._wake_up = anyio.Event()
        self._observations: dict[int, Observation] = {}
        if OBSERVERS:
            for position, promise in promises.items():
                observation = Observation("get", promise.id, promise.url, joint=True)
                observation.begin()
                self._observations[position] = observation

    async def add(self, backend: Backend, positions: Mapping[str, list[int]]) -> None:
        """Watch the promises of one backend, until all are told."""
        try:
            async with watch_all(backend, positions) as watch:
                self._unseen -= 1
                self._wake_up.set()
                async for id, told in watch:
                    for position in positions[id]:
                        self._tell(position, told)
        except Exception as error:  # noqa: BLE001 - it is for who waits
            self._error = error
            self._wake_up.set()

    def _tell(self, position: int, told: Outcome[bytes] | PromiseDisposedError) -> None:
        self._news.append((position, told))
        self._wake_up.set()
        if (observation := self._observations.pop(position, None)) is not None:
            if isinstance(told, PromiseDisposedError):
                observation.finish(told)
            else:
                observation.state = told
                observation.finish(None)

    def end(self) -> None:
        """Report that nobody waits for the others any more."""
        while self._observations:
            _, observation = self._observations.popitem()
            observation.finish(None, cancelled=True)

    async def news(self) -> deque[News]:
        """
        Wait for news; return them, those that were there at first in their order.

        Raises:
            BackendError: A store could not be asked, and there are none.
        """
        if not self._has_begun:
            await self._first_news()
            self._has_begun = True
        while not self._news:
            if self._error is not None:
                raise self._error
            await self._wait()
        news, self._news = self._news, deque()
        return news

    async def _first_news(self) -> None:
        while self._unseen and self._error is None:
            await self._wait()
        count = -1
        while count < len(self._news):
            count = len(self._news)
            for _ in range(_QUIET):
                await checkpoint()
        self._news = deque(sorted(self._news, key=_position))

    async def _wait(self) -> None:
        self._wake_up = anyio.Event()
        await self._wake_up.wait()


def _position(news: News) -> int:
    position, _ = news
    return position
