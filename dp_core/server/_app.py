"""`App`: the ASGI app, from a request to a backend's operation to a response."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias, TypeVar, final

from anyio import CapacityLimiter, move_on_after
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Router
from starlette.types import ASGIApp, Receive, Scope, Send

from dp_core._access import Access
from dp_core._errors import BackendError, DurablePromiseError, ProtocolError
from dp_core._states import Pending
from dp_core.backend import Backend, in_thread
from dp_core.server._answering import BatchAnswers, Operations, Sweeping
from dp_core.server._guarding import ClientGoneError, Guard, Headers
from dp_core.server._notices import Notices
from dp_core.server._settings import Settings
from dp_core.server._targets import path_of, query_of
from dp_core.server._waiting import Places, Streams, Waits
from dp_core.wire import (
    BATCH_PATH,
    ENVELOPE_BYTES,
    MAX_WATCH_BYTES,
    WATCH_PATH,
    BatchedCall,
    Call,
    List,
    Peek,
    PromiseCall,
    Wait,
    WatchCall,
    max_batch_bytes,
    prefer_wait,
    read_batch,
    read_call,
    read_get,
    read_prefer,
    read_watch,
    read_watch_query,
    write_answer,
    write_error,
)

__all__ = ["App", "app"]

T = TypeVar("T")

_Header: TypeAlias = tuple[bytes, bytes]

_HEADERS: Final = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'"),
    (b"x-content-type-options", b"nosniff"),
)
_CLOSE: Final = (b"connection", b"close")
_HEADERS_OF_STATUS: Final[Mapping[int, tuple[_Header, ...]]] = {
    401: ((b"www-authenticate", b"Bearer"),),
    503: ((b"retry-after", b"1"),),
}

_HEALTH: Final = "/health"
_HEALTH_ID: Final = "dp.health"
_HEALTH_SECONDS: Final = 5.0

_GETS: Final = re.compile(r"/promises(/[^/]*)?")
"""The paths that are asked by GET; all others are POSTs."""

_CREATE: Final = "/promise/create"
"""The path of a body of two values: data, and the outcome after the deadline."""

_SLOW_BODY_BYTES: Final = 32 * 1024
"""The length from which reading a body takes longer than a hop to a thread."""


@final
@dataclass(frozen=True, slots=True)
class _Response:
    """An HTTP response, whole."""

    status: int
    body: bytes
    headers: tuple[_Header, ...] = ()

    async def send(self, send: Send, *, close: bool) -> None:
        headers = [
            (b"content-length", b"%d" % len(self.body)),
            *_HEADERS,
            *self.headers,
        ]
        if close and _CLOSE not in self.headers:
            headers.append(_CLOSE)
        # Like the reference, which gives an empty body no type.
        if self.body:
            headers.append((b"content-type", b"application/json"))
        await send(
            {
                "type": "http.response.start",
                "status": self.status,
                "headers": headers,
            }
        )
        await send({"type": "http.response.body", "body": self.body})


def app(backend: Backend, settings: Settings = Settings()) -> App:  # noqa: B008 - frozen
    """
    Return an ASGI app that serves the promises of *backend*.

    It runs on asyncio and trio, under any ASGI server, in one event loop.
    The caller closes *backend*, after the server has stopped.
    """
    return App(backend, settings)


@final
class App:
    """
    The promises of one backend as an ASGI app; made by `app`.

    An ASGI server lets requests finish before it tells the app to stop, and a wait may
    last for months. So call `stop` when the server is told to stop, as `serve` does.
    """

    def __init__(self, backend: Backend, settings: Settings) -> None:
        self._backend = backend
        self._notices = Notices()
        self._guard = Guard(settings, self._notices)
        self._limit = settings.max_value_bytes
        self._places = Places(settings.max_waiters, settings.max_watched)
        self._waits = Waits(backend, self._places)
        self._streams = Streams(backend, self._places, settings.send_seconds)
        self._sweeping = Sweeping(backend, self._notices)
        self._operations = Operations(backend, self._notices)
        self._batches = BatchAnswers(self._operations)
        self._stopped = False
        self._readers = CapacityLimiter(1)
        self._asking: set[tuple[str, int]] = set()
        self._http: ASGIApp = self._answer
        if settings.allowed_origins:
            self._http = CORSMiddleware(
                self._answer,
                allow_origins=settings.allowed_origins,
                allow_methods=["GET", "POST"],
                allow_headers=["Authorization", "Prefer"],
                allow_private_network=True,
                expose_headers=["Preference-Applied", "Retry-After"],
            )
        # For everything but HTTP: it answers the lifespan protocol, and closes
        # WebSockets.
        self._router = Router()

    @property
    def asking(self) -> AbstractSet[tuple[str, int]]:
        """Addresses and ports of clients whose requests are not answered yet."""
        return self._asking

    def stop(self) -> None:
        """Answer all waits with 503, and end all streams. Call it in the app's loop."""
        self._stopped = True
        self._places.stop()
        self._notices.end()

    async def sweep(self) -> None:
        """
        Settle what is over, until cancelled, though nobody asks. `serve` runs it.

        Whoever serves the app otherwise may run it in the app's event loop; without
        it, a deadline settles its promise when somebody asks or waits for it.
        """
        await self._sweeping.run()

    def look(self, closed: int = 0, most: int = 0) -> None:
        """
        Write to the log what is due. `serve` calls it every second.

        Args:
            closed: How many idle connections were closed, because others waited.
            most: The most connections that may be.
        """
        if closed:
            self._notices.tell(
                ("connections",),
                lambda: (
                    f"all {most:,} connections were in use while others waited: closed "
                    f"{closed:,} idle ones; ulimit -n allows more"
                ),
            )
        self._notices.look()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._router(scope, receive, send)
            return
        client = scope.get("client")
        peer = (client[0], client[1]) if client else None
        if peer:
            self._asking.add(peer)
        try:
            await self._http(scope, receive, send)
        finally:
            if peer:
                self._asking.discard(peer)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            response = await self._respond(scope, receive, send)
        except ClientGoneError:
            return
        except Exception as error:  # noqa: BLE001 - a bug must not end a connection
            response = _failure(self._operations.as_seen(error, None))
        if response is not None:
            await response.send(send, close=self._stopped)

    async def _respond(
        self, scope: Scope, receive: Receive, send: Send
    ) -> _Response | None:
        """Return the response; None if it was sent, as a stream."""
        path = path_of(scope)
        method = "GET" if _GETS.fullmatch(path) else "POST"
        if path == WATCH_PATH and scope["method"] == "GET":
            method = "GET"
        try:
            headers = self._guard.check(scope)
            if path == _HEALTH and scope["method"] in ("GET", "HEAD"):
                return await self._health()
            access = await self._guard.check_caller(headers, scope, method)
        except ProtocolError as error:
            await self._guard.throw_away_body(
                dict(scope["headers"]), receive, self._longest(path)
            )
            allow = ((b"allow", method.encode()),) if error.status == 405 else ()
            return _failure(error, closes=True, also=allow)
        try:
            body = await self._guard.read_body(headers, receive, self._longest(path))
        except ProtocolError as error:
            return _failure(error, closes=True)
        if path == BATCH_PATH:
            read = await self._parsed(partial(read_batch, body, self._limit), body)
            asked = [self._permitted_or_why(access, one, scope) for one in read]
            return _Response(200, await self._batches.answer(asked))
        call = await self._read(
            path, body, query_of(scope) if method == "GET" else None
        )
        call = self._guard.permitted(access, call, scope)
        try:
            if isinstance(call, WatchCall):
                failure = await self._streams.answer(call, receive, send, _HEADERS)
                if failure is not None:
                    self._operations.tell_failure(call, failure)
                return None
            return await self._do(call, receive, headers)
        except BackendError as error:
            raise self._operations.as_seen(error, call) from None

    def _permitted_or_why(
        self, access: Access, asked: BatchedCall | DurablePromiseError, scope: Scope
    ) -> BatchedCall | DurablePromiseError:
        """Return a call of a batch, or the error that is its answer."""
        if isinstance(asked, DurablePromiseError):
            return asked
        try:
            return self._guard.permitted(access, asked, scope)
        except ProtocolError as error:
            return error

    def _longest(self, path: str) -> int | None:
        """Return how long a body may be; None for one value and what is around it."""
        if path == WATCH_PATH:
            return MAX_WATCH_BYTES
        if path == BATCH_PATH:
            return max_batch_bytes(self._limit)
        return 2 * (self._limit + ENVELOPE_BYTES) if path == _CREATE else None

    async def _health(self) -> _Response:
        """Return whether the store answers, and nothing else."""
        with move_on_after(_HEALTH_SECONDS):
            try:
                await self._backend.peek(_HEALTH_ID)
            except BackendError as error:
                self._operations.tell_failure(Peek(_HEALTH_ID), error)
            else:
                return _Response(200, b"")
        return _Response(503, b"", _HEADERS_OF_STATUS[503])

    async def _read(self, path: str, body: bytes, query: str | None) -> Call:
        """Return the call that a request makes; by POST where there is no query."""
        if query is not None:
            if path == WATCH_PATH:
                return read_watch_query(query)
            return read_get(path, query)
        read: Callable[[], Call] = partial(read_call, path, body, self._limit)
        if path == WATCH_PATH:
            read = partial(read_watch, body)
        return await self._parsed(read, body)

    async def _parsed(self, read: Callable[[], T], body: bytes) -> T:
        if len(body) < _SLOW_BODY_BYTES:
            return read()
        # A megabyte of small items takes a tenth of a second, for which the whole
        # event loop would stand still.
        return await in_thread(read, limiter=self._readers)

    async def _do(
        self, call: PromiseCall | List, receive: Receive, headers: Headers
    ) -> _Response:
        if not isinstance(call, Wait):
            return _Response(*await self._operations.do(call))
        seconds = read_prefer(headers.get(b"prefer", b"").decode("latin-1"))
        state = await self._waits.outcome(call.id, receive, seconds)
        if seconds is None or not isinstance(state, Pending):
            return _Response(200, write_answer(state))
        applied = (b"preference-applied", prefer_wait(seconds).encode())
        return _Response(202, write_answer(state), (applied,))


def _failure(
    error: DurablePromiseError, *, closes: bool = False, also: tuple[_Header, ...] = ()
) -> _Response:
    status, body = write_error(error)
    headers = (*_HEADERS_OF_STATUS.get(status, ()), *also)
    return _Response(status, body, (*headers, _CLOSE) if closes else headers)
