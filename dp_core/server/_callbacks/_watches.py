"""`PromiseWatches`: promises that are waited for, of which more come all the time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, final

import anyio
from anyio.abc import TaskGroup

from dp_core._errors import BackendClosedError, CorruptPromiseError
from dp_core.backend import Backend, watch_all

__all__ = ["PromiseWatches"]

_GATHER_SECONDS: Final = 0.2
"""The time in which what comes is watched together."""

_AGAIN_SECONDS: Final = 5.0
"""The time after which a watch that has failed begins again."""

_LARGER: Final = 2
"""A new watch takes along those that are at most so many times as large."""


@final
@dataclass(eq=False, slots=True)
class _WatchGroup:
    """Promises of one watch of which nothing was told."""

    left: set[str]
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)


@final
class PromiseWatches:
    """
    Watches promises until each was settled or disposed of.

    There are few watches, as a new one takes along others that are not much larger: so
    a promise is taken along a few times only. A disposal in that moment may go unheard.

    Args:
        backend: The backend.
        told: Is called with the id of a promise that was settled, or disposed of, or
            cannot be read.
    """

    def __init__(self, backend: Backend, told: Callable[[str], None]) -> None:
        self._backend = backend
        self._told = told
        self._new: set[str] = set()
        self._groups: list[_WatchGroup] = []
        self._has_new = anyio.Event()

    def add(self, ids: Iterable[str]) -> None:
        """Watch more promises."""
        self._new.update(ids)
        if self._new:
            self._has_new.set()

    async def run(self) -> None:
        """Watch, until cancelled."""
        async with anyio.create_task_group() as tasks:
            while True:
                await self._has_new.wait()
                await anyio.sleep(_GATHER_SECONDS)
                self._has_new = anyio.Event()
                self._begin(tasks)

    def _begin(self, tasks: TaskGroup) -> None:
        ids, self._new = self._new, set()
        ids = {id for id in ids if not any(id in each.left for each in self._groups)}
        for group in sorted(self._groups, key=lambda group: len(group.left)):
            if len(group.left) > _LARGER * len(ids):
                break
            ids |= group.left
            group.scope.cancel()
            self._groups.remove(group)
        if ids:
            group = _WatchGroup(ids)
            self._groups.append(group)
            tasks.start_soon(self._watch, group)

    async def _watch(self, group: _WatchGroup) -> None:
        with group.scope:
            while group.left:
                try:
                    async with watch_all(self._backend, tuple(group.left)) as told:
                        async for id, _ in told:
                            self._tell(group, id)
                except BackendClosedError:
                    break
                except CorruptPromiseError:
                    await self._part(group)
                except Exception:  # noqa: BLE001 - a bug must not end the server
                    # Who looks for deliveries says so, as it fails, too.
                    await anyio.sleep(_AGAIN_SECONDS)
        if group in self._groups:
            self._groups.remove(group)

    def _tell(self, group: _WatchGroup, id: str) -> None:
        group.left.discard(id)
        self._told(id)

    async def _part(self, group: _WatchGroup) -> None:
        """Leave out of a group what cannot be read, and would end it again."""
        for id in tuple(group.left):
            try:
                await self._backend.peek(id)
            except CorruptPromiseError:
                self._tell(group, id)
        await anyio.sleep(_AGAIN_SECONDS)
