"""A receiver of callbacks that answers what it is told to, byte by byte."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import Final, TypeAlias

__all__ = ["RawReceiver", "Script", "raw_receiving", "saying"]

_POLL_SECONDS: Final = 0.02


@dataclass
class RawReceiver:
    """
    A receiver.

    Attributes:
        port: Its port.
        asked: How many requests it was sent.
        is_over: Is set at its end, for scripts that keep their connection until then.
    """

    port: int
    asked: int = 0
    is_over: Event = field(default_factory=Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"


Script: TypeAlias = Callable[[socket.socket, RawReceiver], None]
"""Answers one request on a connection, which is closed then."""


def saying(*parts: bytes, then_wait: bool = False) -> Script:
    """Return a script that sends bytes, and closes or falls silent."""

    def script(connection: socket.socket, receiver: RawReceiver) -> None:
        for part in parts:
            connection.sendall(part)
        if then_wait:
            receiver.is_over.wait()

    return script


@contextmanager
def raw_receiving(*scripts: Script) -> Iterator[RawReceiver]:
    """
    Run a receiver until the block ends.

    Args:
        scripts: Those of the first requests; the last one is that of all others.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(_POLL_SECONDS)
        receiver = RawReceiver(listener.getsockname()[1])
        threads: list[Thread] = []

        def answer(connection: socket.socket, script: Script) -> None:
            with connection, suppress(OSError):
                script(connection, receiver)

        def serve() -> None:
            while not receiver.is_over.is_set():
                try:
                    connection, _ = listener.accept()
                except TimeoutError:
                    continue
                connection.settimeout(None)
                _read_request(connection)
                script = scripts[min(receiver.asked, len(scripts) - 1)]
                receiver.asked += 1
                threads.append(Thread(target=answer, args=(connection, script)))
                threads[-1].start()

        server = Thread(target=serve)
        server.start()
        try:
            yield receiver
        finally:
            receiver.is_over.set()
            server.join()
            for each in threads:
                each.join()


def _read_request(connection: socket.socket) -> None:
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length:")
    )
    while len(body) < length:
        body += connection.recv(65536)
