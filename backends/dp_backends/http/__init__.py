"""
`HttpBackend`, for ``http:`` and ``https:``: promises behind a server.

``http://localhost:8080`` names one, ``https://example.org/promises?retry=30``
another. It is ``dp serve``, or anything else that speaks the same wire, such
as Restate's example. ``DP_TOKEN``, or the file that ``DP_TOKEN_FILE`` names,
has the bearer token where the server asks for one.

When a connection is cut, or a server restarts or is overloaded, the request is
repeated with growing pauses until the caller's own deadline. Without a deadline,
``retry`` of the URL is the limit in seconds, 10 by default; only
`HttpBackend.wait` goes on for ever, once the server has answered this handle.
A settle may be repeated, because the first outcome wins, as long as nobody disposes
of the promise in between. A dispose is repeated only if the server surely did not
get it; else the caller gets `OutcomeUnknownError`. Its answer is empty; a server that
has answered nothing else yet, nor a batch, is asked for a peek before that is believed.

================= ====================================================
``_url``          store URLs
``_calling``      calls: sent, answered, repeated; together where they come so
``_waits``        waits that share requests
``_peer``         what the server is, and what its responses mean
``_retry``        for how long to repeat, and how often
``_responses``    HTTP responses, read and checked
``_connection``   requests and responses on one connection
``_pool``         connections that are kept
``_sockets``      bytes
``_route``        names, addresses, TLS; outages; how long a wait lives
``_checks``       how it is with the server, for `dp doctor`
================= ====================================================
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Coroutine
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Any, final

from anyio.lowlevel import checkpoint

from dp_backends.http._calling import Calls, WireClient
from dp_backends.http._checks import check_server
from dp_backends.http._peer import OWN_WORDS
from dp_backends.http._url import parse_url
from dp_backends.http._waits import HttpWaits
from dp_core import (
    Backend,
    BackendUnavailableError,
    Outcome,
    OutcomeUnknownError,
    PromiseInfo,
    Query,
    State,
    Terms,
    hookimpl,
)
from dp_core.backend import Check, Closable, Page, Told
from dp_core.hookspecs import Register
from dp_core.wire import MAX_LIMIT, Create, Dispose, Info, List, Peek, Settle

__all__ = ["HttpBackend", "HttpStats"]


@hookimpl
def dp_register_backends(register: Register) -> None:
    register("http", HttpBackend)
    register("https", HttpBackend)


@final
@dataclass(frozen=True, slots=True)
class HttpStats:
    """
    Numbers of what a handle is doing.

    Attributes:
        waiters: Calls of `HttpBackend.wait` in this event loop.
        polls: Long polls that they share.
        held: Long polls whose request is under way.
        busy: Connections in use, in all event loops.
        idle: Connections kept for the next request.
        streams: Event streams that those of the calls share which have no long poll.
        watched: Those of the calls of which the server knows, by either.
    """

    waiters: int
    polls: int
    held: int
    busy: int
    idle: int
    streams: int = 0
    watched: int = 0


class HttpBackend(Backend):
    """A handle on the promises behind one server."""

    def __init__(self, url: str) -> None:
        self._client = WireClient(parse_url(url))
        self._calls = Calls(self._client)
        self._life = Closable()
        self._waits = HttpWaits(self._client, self._life, self.peek)

    async def peek(self, id: str) -> State[bytes]:
        return await self._calls.call(Peek(id))

    async def settle(self, id: str, outcome: Outcome[bytes]) -> Outcome[bytes]:
        return await self._calls.call(Settle(id, outcome))

    def wait(self, id: str) -> Coroutine[Any, Any, Outcome[bytes]]:
        # Not a frame of its own, which each of many waits would pay for.
        return self._waits.wait(id)

    async def wait_for(self, id: str, seconds: float) -> State[bytes]:
        """Wait for so long; pending is only what the server has called so."""
        with self._life.wait():
            if seconds <= 0:
                return await self._client.look(Peek(id))
            return await self._waits.wait_for(id, seconds)

    def watch(
        self, ids: Collection[str]
    ) -> AbstractAsyncContextManager[AsyncIterator[Told]]:
        """Watch promises; see `dp_core.backend.Watchable`."""
        return self._waits.watch(ids)

    async def dispose(self, id: str) -> None:
        await self._calls.call(Dispose(id))
        if not self._client.peer.answered:
            await self._meet(id)

    async def _meet(self, id: str) -> None:
        """
        Let the server say what only a server of promises says.

        Its answer to a dispose is empty, and any program at that port may give it.

        Raises:
            ProtocolError: It is another program.
            OutcomeUnknownError: It does not answer any more.
        """
        try:
            await self.peek(id)
        except OWN_WORDS:
            # Who may only dispose of promises hears the first, as the wire has it.
            if not self._client.peer.answered:
                raise
        except BackendUnavailableError as error:
            raise OutcomeUnknownError(
                f"{error}; it is not known who answered the dispose; look before you "
                "repeat it"
            ) from None

    async def create(self, id: str, terms: Terms[bytes]) -> Terms[bytes]:
        """Give a promise its terms; see `dp_core.backend.Registry`."""
        stands = await self._calls.call(Create(id, terms))
        # A handler of Restate has no say in the status: it is 200 for all.
        return (
            replace(stands, is_first=None) if self._client.peer.is_restate else stands
        )

    async def info(self, id: str) -> PromiseInfo[bytes]:
        """Return what is known about a promise; see `dp_core.backend.Registry`."""
        return await self._calls.call(Info(id))

    async def list(self, query: Query, after: str | None, limit: int) -> Page:
        """Return promises as the server lists them; see `dp_core.backend.Registry`."""
        page = await self._calls.call(List(query, after, min(limit, MAX_LIMIT)))
        infos = tuple(info for info in page.infos if query.matches_id(info.id))
        return replace(page, infos=infos)

    async def sweep(self, limit: int) -> float | None:
        """Settle nothing: the server does it; see `dp_core.backend.Registry`."""
        self._life.check_open()
        await checkpoint()
        return None

    def check(self) -> AsyncIterator[Check]:
        """Ask the server what it is; see `dp_core.backend.Checkable`."""
        return check_server(self._client.url)

    async def aclose(self) -> None:
        # First the waits: what comes of an interrupted request is not their end.
        self._life.close()
        self._client.pool.close()
        await checkpoint()

    @property
    def location(self) -> str:
        """The URL without options, see `dp_core.backend.Located`."""
        return self._client.url.base

    @property
    def wire_url(self) -> str:
        """The URL of the server, by which its wire can be asked directly."""
        return self._client.url.base

    def stats(self) -> HttpStats:
        """Return what this handle is doing now; to be called in an event loop."""
        waiters, watched, polls, held, streams = self._waits.stats()
        busy, idle = self._client.pool.stats()
        return HttpStats(waiters, polls, held, busy, idle, streams, watched)
