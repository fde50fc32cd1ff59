"""`watch_all`: many promises that are waited for as one, by whatever backend."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import final

import anyio
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint

from dp_core._errors import BackendError, PromiseDisposedError
from dp_core._states import Outcome, Pending
from dp_core.backend._contract import Backend, Told, Watchable

__all__ = ["Watch", "watch_all"]


def watch_all(
    backend: Backend, ids: Collection[str]
) -> AbstractAsyncContextManager[AsyncIterator[Told]]:
    """
    Watch promises of one store, each of which is told once.

    .. code-block:: python

        async with watch_all(backend, ids) as watch:
            async for id, told in watch:
                if isinstance(told, PromiseDisposedError): ...

    It does what `Watchable.watch` says, by that where the backend has it. Elsewhere
    it makes a wait for each promise; these are over after the block. There, entering
    returns when each promise was looked at, and those that are pending are waited for.

    Args:
        backend: The backend to ask.
        ids: The ids of the promises.
    """
    if isinstance(backend, Watchable):
        return backend.watch(ids)
    return _waits_for_each(backend, ids)


@final
class Watch:
    """
    The iterator of `Watchable.watch`: what is to be told to one who watches promises.

    Everything here happens in one event loop.

    Args:
        ids: The ids of the promises; one that comes twice counts once.
    """

    __slots__ = ("_bell", "_error", "_told", "_untold")

    def __init__(self, ids: Collection[str]) -> None:
        self._untold = dict.fromkeys(ids)
        self._told: dict[str, Outcome[bytes] | PromiseDisposedError] = {}
        self._error: Exception | None = None
        self._bell: anyio.Event | None = None

    @property
    def untold(self) -> Iterator[str]:
        """The ids of which nothing is known yet, in their order."""
        return iter(tuple(self._untold))

    def tell(self, id: str, told: Outcome[bytes] | PromiseDisposedError) -> None:
        """Let a promise be told, unless it was, or is not watched."""
        if id in self._untold:
            del self._untold[id]
            self._told[id] = told
            self._ring()

    def fail(self, error: Exception) -> None:
        """Let the iterator raise an error, and end, after what is told by now."""
        if self._untold:
            self._untold.clear()
            self._error = error
            self._ring()

    def end(self) -> None:
        """Let the iterator end."""
        self._untold.clear()
        self._told.clear()
        self._error = None
        self._ring()

    def sort(self, ids: Collection[str]) -> None:
        """Let what is told by now come in the order of *ids*."""
        told = self._told
        self._told = {id: told[id] for id in ids if id in told}

    def __aiter__(self) -> Watch:
        return self

    async def __anext__(self) -> Told:
        await checkpoint()
        while not self._told:
            if self._error is not None:
                error, self._error = self._error, None
                raise error
            if not self._untold:
                raise StopAsyncIteration
            self._bell = anyio.Event()
            await self._bell.wait()
        id = next(iter(self._told))
        return id, self._told.pop(id)

    def _ring(self) -> None:
        if self._bell is not None:
            self._bell.set()


@asynccontextmanager
async def _waits_for_each(
    backend: Backend, ids: Collection[str]
) -> AsyncIterator[AsyncIterator[Told]]:
    waits = _SeparateWaits(backend, ids)
    await waits.look()
    failure: BaseException | None = None
    async with anyio.create_task_group() as group:
        try:
            await waits.begin(group)
            yield waits.watch
        except anyio.get_cancelled_exc_class():
            raise
        except BaseException as error:  # noqa: BLE001 - a task group would wrap it
            failure = error
        finally:
            group.cancel_scope.cancel()
            waits.watch.end()
    if failure is not None:
        raise failure


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
