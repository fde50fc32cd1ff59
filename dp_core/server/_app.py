"""`App`: the ASGI app, from a request to a backend's operation to a response."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias, final
from urllib.parse import quote

from anyio import CapacityLimiter, to_thread
from starlette.routing import Router
from starlette.types import Receive, Scope, Send

from dp_core._errors import (
    AccessDeniedError,
    BackendClosedError,
    BackendError,
    BackendUnavailableError,
    CorruptPromiseError,
    DurablePromiseError,
    OutcomeUnknownError,
    ProtocolError,
)
from dp_core._safe_text import quoted, visible
from dp_core._states import Pending
from dp_core.backend import Backend
from dp_core.server._guard import ClientGoneError, Guard, Headers
from dp_core.server._settings import Settings
from dp_core.server._waits import Waits
from dp_core.wire import (
    Call,
    Dispose,
    Peek,
    Settle,
    Wait,
    prefer_wait,
    read_call,
    read_prefer,
    write_answer,
    write_error,
)

__all__ = ["App", "app"]

_Header: TypeAlias = tuple[bytes, bytes]

_log: Final = logging.getLogger("dp_core.server")

_HEADERS: Final = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'"),
    (b"x-content-type-options", b"nosniff"),
)
_HEADERS_OF_STATUS: Final[Mapping[int, tuple[_Header, ...]]] = {
    401: ((b"www-authenticate", b"Bearer"),),
    405: ((b"allow", b"POST"),),
    408: ((b"connection", b"close"),),
    503: ((b"retry-after", b"1"),),
}

_SLOW_BODY_BYTES: Final = 32 * 1024
"""The length from which reading a body takes longer than a hop to a thread."""


@final
@dataclass(frozen=True, slots=True)
class _Response:
    """An HTTP response, whole."""

    status: int
    body: bytes
    headers: tuple[_Header, ...] = ()

    async def send(self, send: Send) -> None:
        headers = [
            (b"content-length", b"%d" % len(self.body)),
            *_HEADERS,
            *self.headers,
        ]
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

    An ASGI server lets running requests finish before it tells the app to
    stop, and a wait may last for months. So call `stop` as soon as the server
    is told to stop, as `serve` does.
    """

    def __init__(self, backend: Backend, settings: Settings) -> None:
        self._backend = backend
        self._guard = Guard(settings)
        self._limit = settings.max_value_bytes
        self._waits = Waits(backend, settings.max_waiters)
        self._readers = CapacityLimiter(1)
        # For everything but HTTP: it answers the lifespan protocol, and closes
        # WebSockets.
        self._router = Router()

    def stop(self) -> None:
        """Answer all waits with 503, now. Call it in the app's event loop."""
        self._waits.stop()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._router(scope, receive, send)
            return
        try:
            response = await self._respond(scope, receive)
        except ClientGoneError:
            return
        except DurablePromiseError as error:
            response = _failure(error)
        except Exception as error:  # noqa: BLE001 - a bug must not end a connection
            _log.error("unexpected error\n%s", _safe_trace(error))
            response = _failure(OutcomeUnknownError("the server failed; see its log"))
        await response.send(send)

    async def _respond(self, scope: Scope, receive: Receive) -> _Response:
        headers = self._guard.check(scope)
        body = await self._guard.read_body(headers, receive)
        call = await self._read(_path(scope), body)
        try:
            return await self._do(call, receive, headers)
        except ProtocolError:
            raise
        except BackendError as error:
            _log.error(
                "%s of %s failed: %s",
                type(call).__name__.lower(),
                quoted(call.id),
                quoted(str(error), 1000),
            )
            raise _public(error, call) from None

    async def _read(self, path: str, body: bytes) -> Call:
        if len(body) < _SLOW_BODY_BYTES:
            return read_call(path, body, self._limit)
        # A megabyte of small items takes a tenth of a second, for which the whole
        # event loop would stand still.
        return await to_thread.run_sync(
            read_call, path, body, self._limit, limiter=self._readers
        )

    async def _do(self, call: Call, receive: Receive, headers: Headers) -> _Response:
        match call:
            case Peek(id):
                return _Response(200, write_answer(await self._backend.peek(id)))
            case Settle(id, outcome):
                return _Response(
                    200, write_answer(await self._backend.settle(id, outcome))
                )
            case Dispose(id):
                await self._backend.dispose(id)
                return _Response(200, write_answer(None))
            case Wait(id):
                seconds = read_prefer(headers.get(b"prefer", b"").decode("latin-1"))
                state = await self._waits.outcome(id, receive, seconds)
                if seconds is None or not isinstance(state, Pending):
                    return _Response(200, write_answer(state))
                applied = (b"preference-applied", prefer_wait(seconds).encode())
                return _Response(202, write_answer(state), (applied,))


def _path(scope: Scope) -> str:
    # Bytes that are not UTF-8 are refused where the id is read.
    raw: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    return raw.decode(errors="surrogateescape")


def _failure(error: DurablePromiseError) -> _Response:
    status, body = write_error(error)
    return _Response(status, body, _HEADERS_OF_STATUS.get(status, ()))


_PUBLIC: Final[Mapping[type[BackendError], type[BackendError]]] = {
    # The server's handle was closed and not the client's, so the client can ask
    # again.
    BackendClosedError: BackendUnavailableError,
    BackendUnavailableError: BackendUnavailableError,
    OutcomeUnknownError: OutcomeUnknownError,
    CorruptPromiseError: CorruptPromiseError,
    AccessDeniedError: AccessDeniedError,
    BackendError: BackendError,
}


def _public(error: BackendError, call: Call) -> BackendError:
    """Return the store's failure as a client may see it: no paths, no hosts."""
    kind = next(_PUBLIC[kind] for kind in type(error).__mro__ if kind in _PUBLIC)
    return kind(
        f"the server's store failed for promise {quoted(call.id)}; its log says why"
    )


def _safe_trace(error: Exception) -> str:
    """Return a traceback with a mark before each line, and without controls."""
    lines = "".join(traceback.format_exception(error)).splitlines()
    return "\n".join(f"| {visible(line)}" for line in lines)
