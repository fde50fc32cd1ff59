"""`HttpWaits`: waits and watches of one handle, by long polls or event streams."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, cast, final

import anyio

from dp_backends.http._calling import WireClient
from dp_backends.http._retry import RetryBudget
from dp_backends.http._waits._interest import NoStreamError, Share, SingleWait
from dp_backends.http._waits._long_polls import LongPolls
from dp_backends.http._waits._stream_gate import MAX_ASKED_BYTES, StreamGate
from dp_core import Backend, Outcome, State
from dp_core.backend import Closable, LoopLocal, Told, Watch, tasks_beside, watch_all
from dp_core.wire import MAX_WATCHED, Peek

__all__ = ["HttpWaits"]

_FEW: Final = 4
"""As many long polls there are before streams are asked for: a few are cheaper so."""


@final
class HttpWaits:
    """The waits of one handle, for all threads and event loops."""

    def __init__(
        self,
        client: WireClient,
        life: Closable,
        peek: Callable[[str], Awaitable[State[bytes]]],
    ) -> None:
        self._client = client
        self._peek = peek
        self._life = life
        self._polls = LongPolls(client)
        self._streams = LoopLocal(lambda: StreamGate(client, life))

    async def wait(self, id: str) -> Outcome[bytes]:
        """Return the outcome of a promise, once there is one; raises as a backend."""
        if self._is_crowded():
            try:
                outcome: Outcome[bytes] = await self._on_stream(id)
            except NoStreamError:
                pass
            else:
                return outcome
        with self._life.wait():
            return await self._polls.wait(id)

    async def wait_for(self, id: str, seconds: float) -> State[bytes]:
        """Return the state of a promise after so long; see `LongPolls.wait_for`."""
        if not self._is_crowded():
            return await self._polls.wait_for(id, seconds)
        ends = anyio.current_time() + seconds
        with anyio.move_on_after(seconds):
            try:
                state: State[bytes] = await self._on_stream(id)
            except NoStreamError:
                pass
            else:
                return state
        left = ends - anyio.current_time()
        if left > 0:
            return await self._polls.wait_for(id, left)
        # That nothing was told of it does not say that it is pending.
        return await self._client.look(Peek(id))

    def _is_crowded(self) -> bool:
        return self._client.peer.streams and self._polls.are(_FEW)

    def _on_stream(self, id: str) -> Awaitable[Any]:
        budget = RetryBudget(self._client.url.retry)
        return self._streams.get().wait(SingleWait(id, budget))

    def stats(self) -> tuple[int, int, int, int, int]:
        """
        Return the size of everything.

        Returns:
            How many waiters there are, and of how many the server knows; how many
            polls, how many of these are held, and how many streams.
        """
        waiters, polls, held = self._polls.stats()
        callers, watched, streams = self._streams.get().stats()
        known = self._polls.known() + watched
        return waiters + callers, known, polls, held, streams

    @asynccontextmanager
    async def watch(self, ids: Collection[str]) -> AsyncIterator[AsyncIterator[Told]]:
        """Watch promises; see `dp_core.backend.Watchable`."""
        self._life.check_open()
        watch = Watch(ids)
        async with tasks_beside() as group:
            try:
                shares = [
                    Share(part, watch, RetryBudget(self._client.url.retry))
                    for part in _parts(watch.untold)
                ]
                for share in shares:
                    group.start_soon(self._run, share, watch)
                for share in shares:
                    await share.begun(self._client.url)
                watch.sort(ids)
                yield watch
            finally:
                watch.end()

    async def _run(self, share: Share, watch: Watch) -> None:
        try:
            with self._life.wait():
                try:
                    await self._streams.get().wait(share)
                except NoStreamError:
                    if share.watched.is_set():
                        # It was cut, and there is no other one.
                        await self._alone(share, watch)
                    else:
                        share.is_refused = True
        except Exception as error:  # noqa: BLE001 - it is for who asks the iterator
            watch.fail(error)
        share.watched.set()

    async def _alone(self, share: Share, watch: Watch) -> None:
        """Make a wait for each promise."""
        separate = cast("Backend", _Separate(self._peek, self._polls.wait))
        async with watch_all(separate, tuple(share.ids)) as each:
            async for id, told in each:
                watch.tell(id, told)


@final
@dataclass(frozen=True)
class _Separate:
    """The two operations of a backend by which `watch_all` waits for each promise."""

    peek: Callable[[str], Awaitable[State[bytes]]]
    wait: Callable[[str], Awaitable[Outcome[bytes]]]


def _parts(ids: Iterator[str]) -> Iterator[tuple[str, ...]]:
    """Return parts of ids that fit on one stream each, whatever ids they are."""
    most = min(MAX_WATCHED, MAX_ASKED_BYTES // _LONGEST)
    while part := tuple(islice(ids, most)):
        yield part


_LONGEST: Final = 1027
"""The longest id, in quotes and with a comma."""
