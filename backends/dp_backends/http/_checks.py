"""
`check_server`: a server, asked what it is and what it can do; nothing is changed there.

All questions are about an id that nobody has.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from secrets import token_hex
from typing import Final, TypeAlias

import anyio

from dp_backends.http._calling import WireClient
from dp_backends.http._peer import is_content
from dp_backends.http._responses import HttpResponse
from dp_backends.http._retry import AttemptFailed, RetryBudget
from dp_backends.http._url import ServerUrl
from dp_backends.http._waits import EventSource, NotAStreamError
from dp_core import (
    AccessDeniedError,
    BackendError,
    NotSupportedError,
    ProtocolError,
    Query,
)
from dp_core.backend import (
    TOKEN_ADVICE,
    Check,
    compare_clocks,
    in_thread,
    now,
    quoted,
    token_from_environment,
)
from dp_core.wire import (
    BATCH_PATH,
    Info,
    List,
    Peek,
    WatchCall,
    lacks_endpoint,
    read_batch_answer,
    write_batch,
)

__all__ = ["check_server"]

_SECONDS: Final = 5.0
"""The longest time for a question."""

_STREAM_SECONDS: Final = 3.0
"""The time after which a stream that has not begun is held back by somebody."""

_RUNS: Final = "look whether the server runs there, and at its log"


@dataclass(slots=True)
class _CheckedServer:
    """
    A server that is asked.

    Attributes:
        client: Asks it.
        id: The id that nobody has.
        token: The token that is sent along, if there is one.
    """

    client: WireClient
    id: str
    token: str | None

    @property
    def url(self) -> ServerUrl:
        return self.client.url


async def check_server(url: ServerUrl) -> AsyncIterator[Check]:
    """Yield what is found about the server at a URL."""
    try:
        token = await in_thread(token_from_environment)
    except AccessDeniedError as error:
        yield Check.failed("token", error, TOKEN_ADVICE)
        return
    # Not that of the handle: what is known of the server is forgotten again.
    server = _CheckedServer(WireClient(url), f"dp-doctor-{token_hex(16)}", token)
    try:
        if token is not None and not url.secure and not _is_here(url.host):
            yield Check(
                "token",
                "warning",
                f"the token goes to {url} as it is, and whoever is on the way reads it",
                "take https://, with a proxy in front of the server that has a "
                "certificate",
            )
        response: HttpResponse | None = None
        async for told in _reach(server):
            if isinstance(told, Check):
                yield told
            else:
                response = told
        if response is None:
            return
        async for check in _ask(server, response):
            yield check
    finally:
        server.client.pool.close()


def _is_here(host: str) -> bool:
    """Tell whether nobody else is on the way to a host."""
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost" or host.endswith(".localhost")


# Reaching it ------------------------------------------------------------------


async def _reach(server: _CheckedServer) -> AsyncIterator[Check | HttpResponse]:
    """Yield the answer of whoever answers there, and what it says of itself."""
    client, look = server.client, Peek(server.id)
    before = now()
    response: HttpResponse | None = None
    try:
        with anyio.move_on_after(_SECONDS):
            connection = await client.send_written(
                "/health", b"", method="GET", fresh=True
            )
            try:
                response = await client.receive(look, connection)
            finally:
                client.pool.release(connection)
    except (AttemptFailed, BackendError) as error:
        yield Check.failed("server", error, _RUNS)
        return
    after = now()
    if response is None:
        yield Check(
            "server",
            "problem",
            f"{server.url} takes the connection and says nothing in {_SECONDS:g} s",
            "look whether another program is at that port, or the server stands still",
        )
        return
    milliseconds = (after - before).total_seconds() * 1000
    tls = ", over TLS with a certificate that is trusted" if server.url.secure else ""
    name = response.headers.get(b"server")
    calls = "" if name is None else f", calls itself {_quoted(name)}"
    yield Check(
        "server", "ok", f"{server.url} answers in {milliseconds:,.0f} ms{tls}{calls}"
    )
    yield response
    said = _date(response)
    if said is not None:
        yield compare_clocks(said, before, after, timedelta(seconds=1))


def _quoted(value: bytes) -> str:
    return quoted(value.decode("latin-1"), 60)


def _date(response: HttpResponse) -> datetime | None:
    """Return the time that a response says (RFC 9110 §6.6.1), if it is one."""
    with suppress(ValueError, TypeError, OverflowError):
        text = response.headers.get(b"date", b"").decode("ascii")
        return parsedate_to_datetime(text).astimezone(UTC)
    return None


# Asking it --------------------------------------------------------------------


async def _ask(server: _CheckedServer, health: HttpResponse) -> AsyncIterator[Check]:
    """Yield whether it is a server of promises, and what it can do."""
    failure = await _peek(server)
    if failure is not None:
        yield failure
        return
    if server.token is not None:
        yield Check("token", "ok", "the server takes requests with our token")
    yield Check("wire", "ok", f"{_kind(server, health)} speaks the wire of promises")
    if health.status == _UNAVAILABLE:
        yield Check(
            "health",
            "problem",
            "the server says that its store does not answer",
            "look at the server's log, and run dp doctor there with the store's URL",
        )
    able: list[str] = []
    for name, ask in _ABILITIES.items():
        check = await _try(server, name, ask)
        if check is None:
            able.append(name)
        else:
            yield check
    if able:
        yield Check("endpoints", "ok", f"the server has {', '.join(able)}")


_UNAVAILABLE: Final = 503


def _kind(server: _CheckedServer, health: HttpResponse) -> str:
    if server.client.peer.is_restate:
        return "Restate, which"
    if health.status in (200, _UNAVAILABLE) and not health.body:
        return "dp serve, or a server like it,"
    return "a server that keeps to the reference"


async def _peek(server: _CheckedServer) -> Check | None:
    """Look at the promise; return why that fails."""
    try:
        with anyio.move_on_after(_SECONDS):
            await server.client.attempt(Peek(server.id), RetryBudget(_SECONDS))
            return None
    except AccessDeniedError as error:
        return Check.failed("token", error, TOKEN_ADVICE)
    except (AttemptFailed, BackendError) as error:
        return Check.failed("wire", error, "look who answers at that URL")
    return Check(
        "wire",
        "problem",
        f"{server.url} does not say in {_SECONDS:g} s how a promise is",
        "look at the server's log, and run dp doctor there with the store's URL",
    )


class _LacksError(Exception):
    """The server says that it lacks something."""


async def _try(server: _CheckedServer, name: str, ask: _Asking) -> Check | None:
    """Return why the server cannot do something; None if it can."""
    lacks, advice = _LACKING[name]
    try:
        with anyio.move_on_after(_SECONDS + _STREAM_SECONDS):
            return await ask(server)
    except (NotSupportedError, _LacksError):
        return Check(name, "warning", f"the server lacks them: {lacks}", advice)
    except (AttemptFailed, BackendError) as error:
        return Check.failed(name, error, _RUNS)
    return Check(
        name,
        "warning",
        f"{server.url} has not answered in {_SECONDS + _STREAM_SECONDS:g} s",
        "look at the server's log; a list of a large file: store takes its time",
    )


async def _terms(server: _CheckedServer) -> None:
    await server.client.attempt(Info(server.id), RetryBudget(_SECONDS))


async def _lists(server: _CheckedServer) -> None:
    # Of promises whose ids begin with that one: the answer is small.
    query = List(Query(prefix=server.id), None, 1)
    await server.client.attempt(query, RetryBudget(_SECONDS))


async def _batches(server: _CheckedServer) -> None:
    client, look = server.client, Peek(server.id)
    body = write_batch([client.written(look)])
    connection = await client.send_written(BATCH_PATH, body, fresh=False)
    try:
        response = await client.receive(look, connection)
    finally:
        client.pool.release(connection)
    if is_content(response):
        if response.status == 200:
            read_batch_answer([look], response.body)
            return
        if lacks_endpoint(response.status, response.body):
            raise _LacksError
    raise ProtocolError(response.status, "that is not an answer to a batch of calls")


async def _streams(server: _CheckedServer) -> Check | None:
    client, call = server.client, WatchCall((server.id,))
    source = EventSource(client, call, await client.send(call))
    try:
        with anyio.move_on_after(_STREAM_SECONDS):
            while not await source.receive():
                pass
            return None
    except NotAStreamError as error:
        response = error.response
        if is_content(response) and lacks_endpoint(response.status, response.body):
            raise _LacksError from None
        raise ProtocolError(response.status, "that is not an event stream") from None
    finally:
        source.close()
    return Check(
        "streams",
        "warning",
        f"the beginning of an event stream has not come in {_STREAM_SECONDS:g} s: a "
        "proxy on the way holds it back, and each waiter takes a connection",
        "let the proxy pass text/event-stream as it comes (nginx: proxy_buffering off)",
    )


_Asking: TypeAlias = Callable[[_CheckedServer], Awaitable[Check | None]]

_ABILITIES: Final[dict[str, _Asking]] = {
    "terms": _terms,
    "lists": _lists,
    "batches": _batches,
    "streams": _streams,
}
_UPGRADE: Final = "upgrade the server, or do without"
_LACKING: Final = {
    "terms": ("create and info do not work there", _UPGRADE),
    "lists": ("list, prune and dp alone do not work there", _UPGRADE),
    "batches": ("calls that come together are sent one by one", _UPGRADE),
    "streams": ("each waiter takes a connection", _UPGRADE),
}
"""``{ability: (what follows where the server lacks it, what to do)}``."""
