"""`JointWatch`: promises of several stores that are watched together."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, TypeAlias, final

import anyio
from anyio.lowlevel import checkpoint

from dp_core._combinators._time_limit import TimeLimit
from dp_core._errors import (
    BackendUnavailableError,
    PromiseDisposedError,
    PromiseTimeoutError,
)
from dp_core._observation import OBSERVERS, Observation
from dp_core._promise import DurablePromise
from dp_core._states import Outcome, Pending, State
from dp_core.backend import Backend, TimedBackend, tasks_beside, wait_or_peek, watch_all

__all__ = ["JointWatch", "News", "watching"]

News: TypeAlias = tuple[int, Outcome[bytes] | PromiseDisposedError]
"""The position of a promise among the arguments, and what is told of it."""

_QUIET: Final = 3
"""
Turns of the event loop without news after which all is told that was there at first.

A watch tells one promise in each turn.
"""

_FIRST: Final = 3
"""The promises of which a store that may be away is asked, before all others."""


@asynccontextmanager
async def watching(
    promises: Mapping[int, DurablePromise[Any]], limit: TimeLimit | None
) -> AsyncIterator[JointWatch]:
    """
    Watch promises, by their positions among the arguments.

    Where there is no time for it, the watch is none, and its news are from a look.
    """
    watch = JointWatch(promises, limit)
    try:
        async with tasks_beside() as group:
            if limit is None or limit.left() > 0:
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

    def __init__(
        self, promises: Mapping[int, DurablePromise[Any]], limit: TimeLimit | None
    ) -> None:
        shares: dict[int, tuple[Backend, dict[str, list[int]]]] = {}
        for position, promise in promises.items():
            backend = promise._backend
            _, positions = shares.setdefault(id(backend), (backend, {}))
            positions.setdefault(promise.id, []).append(position)
        self.shares = tuple(shares.values())
        self._untold = dict(promises)
        self._limit = limit
        self._unseen = len(shares)
        self._has_begun = False
        self._has_looked = False
        self._failure: Exception | None = None
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
        if self._untold.pop(position, None) is None:
            # By a look, before; or the other way round.
            return
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

        Once the caller's time is over, all that is left is looked at, as by
        `wait_or_peek`: a wait that has told nothing does not say that it is pending.

        Raises:
            PromiseTimeoutError: The time is over, and there are none.
            BackendError: A store could not be asked, and there are none.
        """
        if self._limit is None:
            await self._wait_for_news()
        elif not self._has_looked:
            with anyio.move_on_after(self._limit.left()) as scope:
                await self._wait_for_news()
            if scope.cancelled_caught:
                await self._look()
        if not self._news and self._limit is not None:
            self._has_looked = False
            raise self._too_late(self._limit.seconds)
        news, self._news = self._news, deque()
        return news

    async def _wait_for_news(self) -> None:
        if not self._has_begun:
            await self._first_news()
            self._has_begun = True
        while not self._news:
            if self._error is not None:
                raise self._error
            await self._wait()

    async def _look(self) -> None:
        """Look once at all that are left; what cannot be asked is told after news."""
        self._failure = None
        async with anyio.create_task_group() as group:
            for backend, positions in self.shares:
                group.start_soon(self._look_into, backend, positions)
        self._sort()
        self._has_looked = True

    async def _look_into(
        self, backend: Backend, positions: Mapping[str, list[int]]
    ) -> None:
        left = [id for id in positions if positions[id][0] in self._untold]
        # A few first, where the store may be away: the others by peeks, which it is
        # asked together, and asked again for a while where it does not answer. A few,
        # as it may be away for one promise only, whose file is on a bad sector.
        first = _FIRST if isinstance(backend, TimedBackend) else len(left)
        looks = {id: wait_or_peek(backend, id, 0) for id in left[:first]}
        if await self._see(looks, positions):
            await self._see({id: backend.peek(id) for id in left[first:]}, positions)

    async def _see(
        self,
        looks: Mapping[str, Coroutine[Any, Any, State[bytes]]],
        positions: Mapping[str, list[int]],
    ) -> bool:
        """Tell what looks find; return False where the store is away."""
        has_answered = False

        async def see(id: str, looking: Coroutine[Any, Any, State[bytes]]) -> None:
            nonlocal has_answered
            try:
                state = await looking
            except Exception as error:  # noqa: BLE001 - it is for who asks for news
                self._failure = self._failure or error
                has_answered |= not isinstance(error, BackendUnavailableError)
                return
            has_answered = True
            if not isinstance(state, Pending):
                for position in positions[id]:
                    self._tell(position, state)

        async with anyio.create_task_group() as group:
            for id, looking in looks.items():
                group.start_soon(see, id, looking)
        return has_answered

    def _too_late(self, seconds: float) -> Exception:
        """Return the error of a caller whose time is over, after a look."""
        if self._failure is not None:
            return self._failure
        for position, promise in self._untold.items():
            observation = self._observations.pop(position, None)
            if observation is not None:
                observation.state = Pending()
                observation.finish(PromiseTimeoutError(promise.id, seconds))
        first = next(iter(self._untold.values()))
        return PromiseTimeoutError(first.id, seconds)

    async def _first_news(self) -> None:
        while self._unseen and self._error is None:
            await self._wait()
        count = -1
        while count < len(self._news):
            count = len(self._news)
            for _ in range(_QUIET):
                await checkpoint()
        self._sort()

    def _sort(self) -> None:
        self._news = deque(sorted(self._news, key=_position))

    async def _wait(self) -> None:
        self._wake_up = anyio.Event()
        await self._wake_up.wait()


def _position(news: News) -> int:
    position, _ = news
    return position
