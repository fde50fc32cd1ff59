"""An app driven by hand, one request at a time, over a backend that is watched."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

import anyio
from starlette.types import ASGIApp, Message

from dp_core import Backend, Outcome, State, connect

__all__ = ["Request", "Spy", "ask"]


class Request:
    """
    One request to an app, on whatever event loop runs.

    Attributes:
        status: The status of the answer; None while there is none.
        headers: Its headers; of several with one name, a line each.
        body: Its body.
        is_whole: Whether that has come to its end.
        ended: Set once the app has done with it.

    Args:
        ends: Whether the request's body comes to its end.
    """

    def __init__(
        self,
        path: str,
        body: bytes | Iterable[bytes] = b"",
        *,
        method: str = "POST",
        query: str = "",
        headers: Iterable[tuple[bytes, bytes]] = (),
        ends: bool = True,
    ) -> None:
        self.status: int | None = None
        self.headers: dict[str, str] = {}
        self.body = b""
        self.is_whole = False
        self._chunks = [body] if isinstance(body, bytes) else list(body)
        self._ends = ends
        self.ended = anyio.Event()
        self._sent = anyio.Event()
        self._gone = anyio.Event()
        own = list(headers)
        if not any(name == b"content-type" for name, _ in own):
            own.append((b"content-type", b"application/json"))
        self._scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(errors="surrogateescape"),
            "query_string": query.encode(),
            "headers": [(b"host", b"localhost"), *own],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }

    def disconnect(self) -> None:
        """Let the client go away."""
        self._gone.set()

    def json(self) -> Any:
        return json.loads(self.body)

    async def until(self, text: bytes) -> None:
        """Return once *text* is in the body of the answer."""
        while text not in self.body:
            self._sent = anyio.Event()
            await self._sent.wait()

    async def run(self, app: ASGIApp) -> None:
        """Let *app* answer."""
        try:
            await app(self._scope, self._receive, self._send)
        finally:
            self.ended.set()

    async def _receive(self) -> Message:
        if self._chunks:
            chunk = self._chunks.pop(0)
            return {
                "type": "http.request",
                "body": chunk,
                "more_body": bool(self._chunks) or not self._ends,
            }
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            for name, value in message["headers"]:
                before = self.headers.get(name.decode())
                lines = [value.decode()] if before is None else [before, value.decode()]
                self.headers[name.decode()] = "\n".join(lines)
        else:
            self.body += message["body"]
            self.is_whole = not message.get("more_body", False)
            self._sent.set()


async def ask(app: ASGIApp, path: str, body: object = None, **more: Any) -> Request:
    """Make a request with a JSON body, and return it answered."""
    text = b"" if body is None else json.dumps(body).encode()
    request = Request(path, text, **more)
    with anyio.fail_after(60):
        await request.run(app)
    assert request.is_whole or request.status is None
    return request


class Spy(Backend):
    """A memory backend that counts its waits, and fails on demand."""

    def __init__(self, name: str) -> None:
        self.inner = connect(f"memory:{name}").backend
        self.waiting: Counter[str] = Counter()
        self.waits = 0
        self.fail: BaseException | None = None
        self.changed = anyio.Event()

    async def peek(self, id: str) -> State[bytes]:
        if self.fail:
            raise self.fail
        return await self.inner.peek(id)

    async def settle(self, id: str, outcome: Outcome[bytes]) -> Outcome[bytes]:
        return await self.inner.settle(id, outcome)

    async def wait(self, id: str) -> Outcome[bytes]:
        self._count(id, 1)
        self.waits += 1
        try:
            return await self.inner.wait(id)
        finally:
            self._count(id, -1)

    async def dispose(self, id: str) -> None:
        await self.inner.dispose(id)

    async def aclose(self) -> None:
        await self.inner.aclose()

    def _count(self, id: str, change: int) -> None:
        self.waiting[id] += change
        self.changed.set()
        self.changed = anyio.Event()

    async def until_waiting(self, number: int, id: str = "x") -> None:
        """Return once *number* waits are running."""
        while self.waiting[id] != number:
            await self.changed.wait()
