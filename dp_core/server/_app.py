"""`App`: the ASGI app, which lets requests in and has them answered."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from functools import lru_cache, partial
from typing import Final, final

from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Router
from starlette.types import ASGIApp, Receive, Scope, Send

from dp_core._access import PublicUrl, read_public_url
from dp_core._errors import InvalidLinkError, ProtocolError
from dp_core._observed_requests import REQUEST_OBSERVERS
from dp_core.backend import Backend
from dp_core.server._answering import (
    BatchAnswers,
    Health,
    Operations,
    Serving,
    Sweeping,
    full_page,
)
from dp_core.server._callbacks import Callbacks
from dp_core.server._endpoints import ENDPOINTS
from dp_core.server._guarding import ClientGoneError, Guard, written_origin
from dp_core.server._observing import (
    AccessLog,
    Gauges,
    Meter,
    Notices,
    ServedRequest,
)
from dp_core.server._routing import (
    AdmittedRequest,
    Response,
    Route,
    below,
    openapi,
    path_of,
)
from dp_core.server._settings import Settings
from dp_core.server._waiting import Changes, Places, Streams, Waits
from dp_core.values import encode

__all__ = ["App", "app"]


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
        self._public = _public(settings.public_url)
        self._notices = Notices()
        self._guard = Guard(settings, self._notices, self._public)
        self._places = Places(settings.max_waiters, settings.max_watched)
        self._sweeping = Sweeping(backend, self._notices)
        self._callbacks = Callbacks(
            backend, settings.notify_allow, self._guard.secrets, self._notices
        )
        changes = Changes(
            partial(full_page, backend), self._places, settings.send_seconds
        )
        self._meter = Meter(
            Gauges(
                waiters=lambda: self._places.waiters,
                streams=lambda: self._places.streams,
                watched=lambda: self._places.watched,
                callbacks=lambda: self._callbacks.pending,
            )
        )
        self._operations = Operations(
            backend, self._notices, self._callbacks, self._meter, changes.note
        )
        self._serving = Serving(
            backend=backend,
            guard=self._guard,
            operations=self._operations,
            batches=BatchAnswers(self._operations),
            waits=Waits(backend, self._places),
            streams=Streams(backend, self._places, settings.send_seconds),
            places=self._places,
            changes=changes,
            health=Health(backend, self._operations),
            meter=self._meter,
            largest=settings.max_value_bytes,
            description=partial(_description, asks=settings.asks_for_tokens),
        )
        self._stopped = False
        self._asking: set[tuple[str, int]] = set()
        self._http: ASGIApp = self._answer
        if settings.allowed_origins:
            self._http = CORSMiddleware(
                self._answer,
                allow_origins=[*map(written_origin, settings.allowed_origins)],
                allow_methods=[each for each in ENDPOINTS.methods if each != "HEAD"],
                # The last two are of W3C Trace Context: they allow nothing.
                allow_headers=["Authorization", "Prefer", "Traceparent", "Tracestate"],
                allow_private_network=True,
                expose_headers=["Preference-Applied", "Retry-After"],
            )
        self._log: AccessLog | None = None
        if settings.access_log is not None:
            self._log = self._http = AccessLog(self._http, settings.access_log)
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

    def close(self) -> None:
        """Write what is left of the access log. `serve` calls it at the end."""
        if self._log is not None:
            self._log.close()

    async def sweep(self) -> None:
        """
        Settle what is over, until cancelled, though nobody asks. `serve` runs it.

        Whoever serves the app otherwise may run it in the app's event loop; without
        it, a deadline settles its promise when somebody asks or waits for it.
        """
        await self._sweeping.run()

    async def deliver(self) -> None:
        """
        Make callbacks, until cancelled. `serve` runs it.

        Whoever serves the app otherwise may run it in the app's event loop; without
        it, callbacks are made by another server of the store, or wait for one.
        """
        await self._callbacks.run()

    @property
    def callbacks_pending(self) -> int:
        """The number of callbacks that are still to be made, as far as is known."""
        return self._callbacks.pending

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
        path = path_of(scope)
        if self._public is not None:
            path = below(path, self._public.root)
        found = ENDPOINTS.find(scope["method"], path)
        row = found.endpoint
        if not REQUEST_OBSERVERS or row.is_probe:
            await self._answer_by(found, path, scope, receive, send)
            return
        served = ServedRequest(
            scope, send, path=path, route=row.path, is_stream=row.streams
        )
        try:
            await self._answer_by(found, path, scope, receive, served.send)
        finally:
            served.finish()

    async def _answer_by(
        self,
        found: Route[Serving],
        path: str,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        try:
            response = await self._respond(found, path, scope, receive, send)
        except ClientGoneError:
            return
        except Exception as error:  # noqa: BLE001 - a bug must not end a connection
            response = found.endpoint.fail(self._operations.as_seen(error, None))
        except BaseException as error:
            self._operations.tell_ending(error)
            raise
        if response is not None:
            if self._stopped:
                response = response.and_close()
            if response.status >= 400:
                self._meter.refused(response.status)
            await response.send(send, only_head=scope["method"] == "HEAD")

    async def _respond(
        self,
        found: Route[Serving],
        path: str,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> Response | None:
        """Return the response; None if it was sent, piece by piece."""
        endpoint, guard = found.endpoint, self._guard
        rule = endpoint.body
        longest = rule.longest(self._serving.largest) if rule else 0
        try:
            headers = guard.check(scope, is_page=endpoint.is_page)
            access = await guard.access(
                headers, scope, asks_for_token=found.asks_for_token
            )
            guard.check_rights(access, endpoint.rights, scope)
            found.check_method()
        except ProtocolError as error:
            await guard.throw_away_body(dict(scope["headers"]), receive, longest)
            response = endpoint.fail(error).and_close()
            return response.allowing(found.allowed) if error.status == 405 else response
        body = b""
        if rule:
            try:
                body = await guard.read_body(headers, receive, longest, rule.media_type)
            except ProtocolError as error:
                return endpoint.fail(error).and_close()
        request = AdmittedRequest(
            path,
            found.parameters,
            headers,
            body,
            access,
            scope,
            receive,
            send,
            self._public,
        )
        return await endpoint.answer(self._serving, request)


def _public(url: str | None) -> PublicUrl | None:
    if url is None:
        return None
    public = read_public_url(url)
    first = f"{public.root}/".split("/")[1]
    if first in _FIRST_SEGMENTS:
        # Whether a proxy has taken it from a path could not be told.
        raise InvalidLinkError(
            f"paths of the server itself begin with /{first}; let the proxy have "
            f"another prefix for it, such as {public.origin}/dp"
        )
    return public


_FIRST_SEGMENTS: Final = {f"{row.path}/".split("/")[1] for row in ENDPOINTS} - {""}


@lru_cache(maxsize=16)
def _description(root: str, *, asks: bool) -> bytes:
    """Return the OpenAPI document of an app; it takes milliseconds to make."""
    return encode(openapi(ENDPOINTS, asks_for_tokens=asks, root=root.rstrip("/")))
