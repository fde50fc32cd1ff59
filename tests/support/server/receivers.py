"""A real receiver of callbacks: an HTTP server that keeps what it was sent."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from threading import Thread
from typing import Any, Final

import trustme

__all__ = ["Received", "Receiver", "receiving"]

_TIMEOUT: Final = 30


@dataclass(frozen=True)
class Received:
    """A request that was received; header names in lower case."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


Answer = tuple[int, Mapping[str, str]]


@dataclass
class Receiver:
    """A receiver, which answers what `answer` returns for a request."""

    answer: Callable[[Received], Answer]
    port: int = 0
    received: Queue[Received] = field(default_factory=Queue)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def next(self, timeout: float = _TIMEOUT) -> Received:
        """Return the next request that comes."""
        return self.received.get(timeout=timeout)


@contextmanager
def receiving(
    *statuses: int,
    answer: Callable[[Received], Answer] | None = None,
    port: int = 0,
    certificate: trustme.LeafCert | None = None,
) -> Iterator[Receiver]:
    """
    Run a receiver until the block ends.

    Args:
        statuses: The statuses of the first answers; the last one is that of all others.
        answer: In their place, what returns the answer to a request.
        port: The port; 0 for any that is free.
        certificate: By which it speaks TLS.
    """
    script = list(statuses or (204,))

    def scripted(request: Received) -> Answer:
        return (script.pop(0) if len(script) > 1 else script[0]), {}

    receiver = Receiver(answer or scripted)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            request = Received(
                self.path,
                {name.lower(): value for name, value in self.headers.items()},
                self.rfile.read(length),
            )
            receiver.received.put(request)
            status, headers = receiver.answer(request)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        server.daemon_threads = True
        if certificate is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            certificate.configure_cert(context)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        server.block_on_close = False
        receiver.port = server.server_address[1]
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()
