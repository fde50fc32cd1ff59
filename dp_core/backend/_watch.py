"""`watch_all`: many promises that are waited for as one, by whatever backend."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, Generic, TypeVar, final

import anyio
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint

from dp_core._errors import BackendError, NotSupportedError, PromiseDisposedError
from dp_core._states import Outcome, Pending
from dp_core.backend._beside import tasks_beside
from dp_core.backend._contract import Backend, Told, Watchable
from dp_core.backend._leader import Follower, LeaderFollowers, copied
from dp_core.backend._signal import Signal, signal, wake

__all__ = ["Watch", "Watched", "watch_all"]

R = TypeVar("R")


@asynccontextmanager
async def watch_all(
    backend: Backend, ids: Collection[str]
) -> AsyncIterator[AsyncIterator[Told]]:
    """
    Watch promises of one store, each of which is told once.

    .. code-block:: python

        async with watch_all(backend, ids) as watch:
            async for id, told in watch:
                if isinstance(told, PromiseDisposedError): ...

    It does what `Watchable.watch` says, by that where the backend has it, and the store
    supports it. Elsewhere it makes a wait for each promise; these are over after the
    block. There, entering returns when each promise was looked at, and those that are
    pending are waited for.

    Args:
        backend: The backend to ask.
        ids: The ids of the promises.
    """
    async with AsyncExitStack() as stack:
        watch: AsyncIterator[Told] | None = None
        if isinstance(backend, Watchable):
            with suppress(NotSupportedError):
                watch = await stack.enter_async_context(backend.watch(ids))
        if watch is None:
            watch = await stack.enter_async_context(_waits_for_each(backend, ids))
        yield watch


@final
class Watch:
    """
    The iterator of `Watchable.watch`: what is to be told to one who watches promises.

    It belongs to one event loop, and waits only while it is asked. In a group of those
    who wait (`LeaderFollowers`) it then is one of them, and may lead.

    Args:
        ids: The ids of the promises; one that comes twice counts once.
        group: The group in which it waits; None where others tell it all.
        request: What it wants of the group.
    """

    __slots__ = (
        "_error",
        "_follower",
        "_group",
        "_request",
        "_told",
        "_unseen",
        "_untold",
        "_wake_up",
    )

    def __init__(
        self,
        ids: Collection[str],
        group: LeaderFollowers[Any, Any] | None = None,
        request: object = None,
    ) -> None:
        self._untold = dict.fromkeys(ids)
        self._unseen = len(self._untold)
        self._told: dict[str, Outcome[bytes] | PromiseDisposedError] = {}
        self._error: Exception | None = None
        self._group = group
        self._request = request
        self._follower: Follower[Any, Any] | None = None
        self._wake_up: Signal | None = None

    @property
    def untold(self) -> Iterator[str]:
        """The ids of which nothing is known yet, in their order."""
        return iter(tuple(self._untold))

    def see(self) -> None:
        """Note that one more of the promises was looked at, and is watched."""
        self._unseen -= 1
        if not self._unseen:
            self._wake()

    def tell(self, id: str, told: Outcome[bytes] | PromiseDisposedError) -> None:
        """Let a promise be told, unless it was, or is not watched."""
        if id in self._untold:
            del self._untold[id]
            self._told[id] = told
            self._wake()

    def fail(self, error: Exception) -> None:
        """Let the iterator raise an error, and end, after what is told by now."""
        if self._untold:
            self._untold.clear()
            self._error = error
            self._wake()

    def end(self) -> None:
        """Let the iterator end."""
        self._untold.clear()
        self._told.clear()
        self._error = None
        self._wake()

    def sort(self, ids: Collection[str]) -> None:
        """Let what is told by now come in the order of *ids*."""
        told = self._told
        self._told = {id: told[id] for id in ids if id in told}

    async def all_seen(self) -> None:
        """Wait until all of the promises were looked at, or there is an error."""
        while self._unseen > 0 and self._untold:
            await self._wait()

    def __aiter__(self) -> Watch:
        return self

    async def __anext__(self) -> Told:
        if self._told:
            # Before it is taken: a cancellation here loses nothing.
            await checkpoint()
        while not self._told:
            if self._error is not None:
                error, self._error = self._error, None
                raise copied(error) from error.__cause__
            if not self._untold:
                raise StopAsyncIteration
            await self._wait()
        id = next(iter(self._told))
        return id, self._told.pop(id)

    async def _wait(self) -> None:
        """Return when there may be news; may return before."""
        if self._group is None:
            self._wake_up = signal()
            await self._wake_up
            return
        self._follower = Follower(self._group, self._request)
        try:
            await self._follower.join()
        finally:
            self._follower = None

    def _wake(self) -> None:
        if self._follower is not None:
            self._follower.set_result(None)
        elif self._wake_up is not None:
            wake(self._wake_up)


@final
class Watched(Generic[R]):
    """
    One promise of a `Watch`, told by the same calls as a `Follower`.

    Attributes:
        request: As given.
    """

    __slots__ = ("_id", "_watch", "request")

    def __init__(self, watch: Watch, id: str, request: R) -> None:
        self.request = request
        self._watch = watch
        self._id = id

    def set_result(self, result: Outcome[bytes]) -> None:
        """Tell its outcome."""
        self._watch.tell(self._id, result)

    def set_exception(self, error: Exception) -> None:
        """Tell that it was disposed of; any other error ends the watch."""
        if isinstance(error, PromiseDisposedError):
            self._watch.tell(self._id, error)
        else:
            self._watch.fail(error)


@asynccontextmanager
async def _waits_for_each(
    backend: Backend, ids: Collection[str]
) -> AsyncIterator[AsyncIterator[Told]]:
    waits = _SeparateWaits(backend, ids)
    await waits.look()
    async with tasks_beside() as group:
        try:
            await waits.begin(group)
            yield waits.watch
        finally:
            waits.watch.end()


@final
class _SeparateWaits:
    """A wait for each of some promises."""

    def __init__(self, backend: Backend, ids: Collection[str]) -> None:
        self.watch = Watch(ids)
        self._backend = backend
        self._ids = ids
        self._all_begun = anyio.Event()
        self._begun = 0

    async def look(self) -> None:
        """Let what is settled be told, in the order of the ids."""
        async with anyio.create_task_group() as group:
            for id in self.watch.untold:
                group.start_soon(self._look_at, id)
        self.watch.sort(self._ids)

    async def _look_at(self, id: str) -> None:
        # Whether that may pass is for the wait to say.
        with suppress(BackendError):
            state = await self._backend.peek(id)
            if not isinstance(state, Pending):
                self.watch.tell(id, state)

    async def begin(self, group: TaskGroup) -> None:
        """Begin to wait for what is not settled."""
        ids = tuple(self.watch.untold)
        for id in ids:
            group.start_soon(self._wait, id, len(ids))
        if ids:
            await self._all_begun.wait()

    async def _wait(self, id: str, last: int) -> None:
        self._begun += 1
        if self._begun == last:
            self._all_begun.set()
        try:
            self.watch.tell(id, await self._backend.wait(id))
        except PromiseDisposedError as error:
            self.watch.tell(id, error)
        except Exception as error:  # noqa: BLE001 - it is for who asks the iterator
            self.watch.fail(error)
