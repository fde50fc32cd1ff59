"""`Server`: a small server of our wire that counts its calls, and fails on command."""

from __future__ import annotations

import ssl
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Self, cast

import anyio
import h11
from anyio.abc import SocketStream
from anyio.from_thread import start_blocking_portal
from anyio.streams.tls import TLSListener

from dp_backends.memory import MemoryBackend
from dp_core import Backend, DurablePromiseError, Outcome, Pending, Resolved, State
from dp_core._access import EVERYTHING
from dp_core.server._answering import RegistryAnswers
from dp_core.server._callbacks import Callbacks
from dp_core.server._observing import Notices
from dp_core.wire import (
    BATCH_PATH,
    WATCH_PATH,
    Call,
    Create,
    Dispose,
    Info,
    List,
    Peek,
    Settle,
    Wait,
    read_batch,
    read_call,
    read_get,
    read_prefer,
    read_watch,
    write_answer,
    write_batch_answer,
    write_error,
)
from support.http._answers import RESTATE_DISPOSED, failure, http_answer
from support.http._scripted import ScriptedStream
from support.http._streams import CUT, port_of

_names = count()


async def _no_secrets() -> tuple[str, ...]:
    return ()


@dataclass(eq=False)
class Server:
    """
    A server of our wire over a fresh memory backend.

    Attributes:
        slices: How long a wait may be held, in seconds; ``inf`` for as long
            as the client prefers, None for a server that knows no preference,
            like the reference.
        canned: What to send before anything else is done, in this order,
            whatever is asked; None cuts the connection.
        said: What to answer to the next call on each promise, in place of doing it.
        mute: Whether it does what is asked and answers nothing.
        hold: Until when it keeps the answers of waits back.
        pause: Until when it keeps all answers back.
        has_batches: Whether it is a server that takes batches.
        has_streams: Whether a test answers requests for event streams.
        asked_streams: Those, in their order.
        prefix: What stands before its paths.
        connections: How many connections it accepted.
        calls: The calls it got, in order.
        paths: The paths at which it got them.
        headers: The headers that came with them.
        changes: How often each id was settled, or disposed of.
        waiting: How many requests wait for each id.
        url: Where it listens.
        streams: The connections that are open.
    """

    slices: float | None = float("inf")
    canned: deque[bytes | None] = field(default_factory=deque)
    said: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    mute: bool = False
    hold: anyio.Event | None = None
    pause: anyio.Event | None = None
    has_batches: bool = True
    has_streams: bool = False
    asked_streams: list[ScriptedStream] = field(default_factory=list)
    prefix: str = ""
    connections: int = 0
    calls: list[Call] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    headers: list[dict[bytes, bytes]] = field(default_factory=list)
    changes: Counter[tuple[type[Call], str]] = field(default_factory=Counter)
    waiting: Counter[str] = field(default_factory=Counter)
    backend: Backend = field(
        default_factory=lambda: MemoryBackend(f"memory:http-{next(_names)}")
    )
    url: str = ""
    streams: set[SocketStream] = field(default_factory=set)
    _news: anyio.Event = field(default_factory=anyio.Event)

    @asynccontextmanager
    async def serving(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> AsyncIterator[Self]:
        """Serve until the block ends; then cut all connections."""
        listener = await anyio.create_tcp_listener(
            local_host=host, local_port=port, backlog=2000
        )
        shown = f"[{host}]" if ":" in host else host
        self.url = f"{'https' if tls else 'http'}://{shown}:{port_of(listener)}"
        served: Any = TLSListener(listener, tls) if tls else listener
        async with listener, anyio.create_task_group() as tasks:
            tasks.start_soon(served.serve, self._serve)
            yield self
            tasks.cancel_scope.cancel()

    @property
    def port(self) -> int:
        """The port at which it listens, to serve there again."""
        return int(self.url.rpartition(":")[2])

    @classmethod
    @contextmanager
    def elsewhere(cls) -> Iterator[Self]:
        """Serve in a thread of its own until the block ends."""
        server = cls()
        with (
            start_blocking_portal() as portal,
            portal.wrap_async_context_manager(server.serving()),
        ):
            yield server

    async def until(self, condition: Callable[[Self], bool]) -> None:
        """Return as soon as *condition* holds for this server."""
        while not condition(self):
            await self._news.wait()

    async def resolve_waited(self, id: str, value: bytes = b'"done"') -> None:
        """Resolve a promise behind the client's back once somebody waits for it."""
        await self.until(lambda self: self.waiting[id] > 0)
        await self.backend.settle(id, Resolved(value))

    async def hang_up(self) -> None:
        """Close all connections, as servers do that have been idle for long."""
        for stream in tuple(self.streams):
            await stream.aclose()

    async def cut_short(self, answer: bytes | None) -> None:
        """Send *answer* to all that wait, if it is not None, and hang up."""
        for stream in tuple(self.streams):
            with suppress(*CUT):
                if answer is not None:
                    await stream.send(answer)
        await self.hang_up()

    def _tell(self) -> None:
        self._news.set()
        self._news = anyio.Event()

    async def _serve(self, stream: SocketStream) -> None:
        self.connections += 1
        self.streams.add(stream)
        self._tell()
        with suppress(*CUT):
            async with stream:
                try:
                    while await self._serve_one(stream):
                        pass
                except h11.RemoteProtocolError:
                    await stream.send(http_answer(400, b"no HTTP"))
        self.streams.discard(stream)
        self._tell()

    async def _stream(self, asked: ScriptedStream) -> bool:
        self.asked_streams.append(asked)
        self._tell()
        await asked.last()
        return False

    async def _serve_one(self, stream: SocketStream) -> bool:
        head, body = await _read_request(stream)
        headers = dict(head.headers)
        path = head.target.decode()
        assert path.startswith(f"{self.prefix}/")
        path = path.removeprefix(self.prefix)
        if path == WATCH_PATH or (path == BATCH_PATH and not self.has_batches):
            self.paths.append(path)
            if path == WATCH_PATH and self.has_streams:
                self.headers.append(headers)
                return await self._stream(ScriptedStream(read_watch(body).ids, stream))
            await stream.send(failure(404, f"no operation at '{path}'"))
            return True
        asked = _calls(head.method, path, body)
        self.calls += asked
        self.paths.append(path)
        self.headers.append(headers)
        self._tell()
        if self.canned:
            answer = self.canned.popleft()
        else:
            answers = [await self._answer(call, headers, stream) for call in asked]
            if path == BATCH_PATH:
                answers = [(200, write_batch_answer(answers))]
            answer = http_answer(*answers[0])
            self._tell()
            if self.mute:
                await stream.receive()
        if self.hold is not None and isinstance(asked[-1], Wait):
            await self.hold.wait()
        if self.pause is not None:
            await self.pause.wait()
        if answer is None:
            return False
        await stream.send(answer)
        return _goes_on(answer.lower())

    async def _answer(
        self, call: Call, headers: dict[bytes, bytes], stream: SocketStream
    ) -> tuple[int, bytes]:
        if not isinstance(call, List) and call.id in self.said:
            return self.said.pop(call.id)
        try:
            if isinstance(call, Create | Info | List):
                callbacks = Callbacks(self.backend, (), _no_secrets, Notices())
                return await RegistryAnswers(
                    self.backend, callbacks, lambda page: None
                ).answer(call, EVERYTHING)
            if isinstance(call, Wait):
                return await self._wait(call.id, headers, stream)
            return 200, write_answer(await self._do(call))
        except DurablePromiseError as error:
            return RESTATE_DISPOSED if self.slices is None else write_error(error)

    async def _do(self, call: Peek | Settle | Dispose) -> State[bytes] | None:
        match call:
            case Peek(id):
                return await self.backend.peek(id)
            case Dispose(id):
                self.changes[Dispose, id] += 1
                return await self.backend.dispose(id)
            case Settle(id, outcome):
                pending = isinstance(await self.backend.peek(id), Pending)
                self.changes[Settle, id] += pending
                return await self.backend.settle(id, outcome)

    async def _wait(
        self, id: str, headers: dict[bytes, bytes], stream: SocketStream
    ) -> tuple[int, bytes]:
        state = await self.backend.peek(id)
        if not isinstance(state, Pending):
            return 200, write_answer(state)
        seconds = None
        if self.slices is not None:
            preferred = read_prefer(headers[b"prefer"].decode())
            assert preferred is not None
            seconds = min(self.slices, preferred)
        told: Outcome[bytes] | DurablePromiseError | None = None
        self.waiting[id] += 1
        self._tell()
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_cancel_with, stream, tasks.cancel_scope)
                with anyio.move_on_after(seconds):
                    try:
                        told = await self.backend.wait(id)
                    except DurablePromiseError as error:
                        told = error
                tasks.cancel_scope.cancel()
        finally:
            self.waiting[id] -= 1
            self._tell()
        if isinstance(told, DurablePromiseError):
            raise told
        return (200, write_answer(told)) if told is not None else (202, b"null")


def _calls(method: bytes, path: str, body: bytes) -> list[Call]:
    if path == BATCH_PATH:
        return cast("list[Call]", read_batch(body))
    if method == b"GET":
        return [read_get(*path.split("?", 1))]
    return [read_call(path, body)]


def _goes_on(answer: bytes) -> bool:
    ends = b"content-length" in answer or b"chunked" in answer
    return ends and b"connection: close" not in answer


async def _cancel_with(stream: SocketStream, scope: anyio.CancelScope) -> None:
    with suppress(*CUT):
        await stream.receive()
    scope.cancel()


async def _read_request(stream: SocketStream) -> tuple[h11.Request, bytes]:
    http = h11.Connection(h11.SERVER)
    body = b""
    while True:
        match http.next_event():
            case h11.NEED_DATA:
                http.receive_data(await stream.receive())
            case h11.Request() as head:
                pass
            case h11.Data(data=data):
                body += data
            case h11.EndOfMessage():
                return head, body
