"""An ASGI server of the smallest kind: one request, driven by hand."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import anyio
from starlette.types import ASGIApp, Message

__all__ = ["Request", "ask"]


class Request:
    """
    One request to an app, on whatever event loop runs.

    Attributes:
        status: The status of the answer; None while there is none.
        headers: Its headers.
        body: Its body.
    """

    def __init__(
        self,
        path: str,
        body: bytes | Iterable[bytes] = b"",
        *,
        method: str = "POST",
        headers: Iterable[tuple[bytes, bytes]] = (),
    ) -> None:
        self.status: int | None = None
        self.headers: dict[str, str] = {}
        self.body = b""
        self._chunks = [body] if isinstance(body, bytes) else list(body)
        self._gone = anyio.Event()
        self._scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [
                (b"host", b"localhost"),
                (b"content-type", b"application/json"),
                *headers,
            ],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }

    def disconnect(self) -> None:
        """Let the client go away."""
        self._gone.set()

    def json(self) -> Any:
        return json.loads(self.body)

    async def run(self, app: ASGIApp) -> None:
        """Let *app* answer."""
        await app(self._scope, self._receive, self._send)

    async def _receive(self) -> Message:
        if self._chunks:
            chunk = self._chunks.pop(0)
            return {
                "type": "http.request",
                "body": chunk,
                "more_body": bool(self._chunks),
            }
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {
                name.decode(): value.decode() for name, value in message["headers"]
            }
        else:
            self.body += message["body"]


async def ask(app: ASGIApp, path: str, body: object = None, **more: Any) -> Request:
    """Make a request with a JSON body, and return it answered."""
    text = b"" if body is None else json.dumps(body).encode()
    request = Request(path, text, **more)
    await request.run(app)
    return request
