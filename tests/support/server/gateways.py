"""`gateway`: a proxy before a server that fails while connections are open."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Lock, Thread

__all__ = ["UNAVAILABLE", "Gateway", "gateway"]

UNAVAILABLE = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"


@dataclass
class Gateway:
    """
    A proxy that runs.

    Attributes:
        upstream: The port of the server.
        port: Its own port.
        said: What it says to all that clients send, in place of the server, from the
            moment when it is set on; nothing at all where it is empty.
        meanwhile: Done once, when the server answers next. That answer is lost, all
            connections are cut, and nobody gets through before it is done.
    """

    upstream: int
    port: int
    said: bytes | None = None
    meanwhile: Callable[[], object] | None = None
    _ends: list[socket.socket] = field(default_factory=list)
    _passing: Lock = field(default_factory=Lock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def accept(self, listener: socket.socket) -> None:
        """Serve until the listener is closed."""
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                with self._passing:
                    server = socket.create_connection(("127.0.0.1", self.upstream))
                    self._ends += client, server
                Thread(target=self._forward, args=(client, server, client)).start()
                Thread(target=self._forward, args=(server, client, client)).start()

    def cut(self, meanwhile: Callable[[], object] = lambda: None) -> None:
        """Cut all connections; let nobody through before something is done."""
        with self._passing:
            hang_up(self._ends)
            meanwhile()

    def close(self) -> None:
        """Close what is left of all connections."""
        hang_up(self._ends)
        for end in self._ends:
            end.close()

    def _forward(
        self, source: socket.socket, sink: socket.socket, client: socket.socket
    ) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if source is not client and (meanwhile := self.meanwhile):
                    self.meanwhile = None
                    self.cut(meanwhile)
                elif self.said is None:
                    sink.sendall(data)
                elif source is client:
                    client.sendall(self.said)
        if self.said is None:
            hang_up([source, sink])


def hang_up(ends: list[socket.socket]) -> None:
    """End connections; whoever reads from one is told."""
    for end in ends:
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@contextmanager
def gateway(upstream: int) -> Iterator[Gateway]:
    """Run a proxy before the server at a port until the block ends."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        running = Gateway(upstream, listener.getsockname()[1])
        thread = Thread(target=running.accept, args=(listener,))
        thread.start()
        try:
            yield running
        finally:
            hang_up([listener])
            thread.join()
            running.close()
