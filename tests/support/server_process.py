"""A real server in a process of its own, and requests made of plain bytes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any, Final

from support.server.faketime import forget_faketime

__all__ = ["JSON", "TIMEOUT", "Answer", "Server", "read", "running"]

SERVE: Final = """
import json, sys, anyio
from dp_core.server import Settings, serve
url, host, settings = json.loads(sys.argv[1])
anyio.run(serve, url, host, 0, Settings(**settings))
"""
JSON: Final = {"Content-Type": "application/json"}
TIMEOUT: Final = 60

# One that a test has stopped, or keeps busy, does not end by itself.
_GRACE: Final = 2.0


@dataclass(frozen=True)
class Answer:
    """What a server answered; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Server:
    """A server that runs, and what it said about itself."""

    process: subprocess.Popen[str]
    port: int
    store: str

    def files(self) -> int:
        """Return how many files the process has open."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def connect(self) -> HTTPConnection:
        return HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT)

    def ask(
        self,
        path: str,
        body: bytes | str | None = None,
        headers: Mapping[str, str] = JSON,
        method: str = "POST",
    ) -> Answer:
        """Make one request on a connection of its own."""
        connection = self.connect()
        try:
            connection.request(method, path, body, dict(headers))
            return read(connection)
        finally:
            connection.close()

    def talk(self, request: bytes) -> Answer:
        """Send bytes as they are; return what is answered to them."""
        with socket.create_connection(("127.0.0.1", self.port), TIMEOUT) as stream:
            stream.sendall(request)
            response = HTTPResponse(stream)
            response.begin()
            return _answer(response)


def read(connection: HTTPConnection) -> Answer:
    """Read the answer to a request that was made."""
    return _answer(connection.getresponse())


def _answer(response: HTTPResponse) -> Answer:
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, headers, response.read())


@contextmanager
def running(
    url: str,
    host: str = "127.0.0.1",
    preexec_fn: Callable[[], None] | None = None,
    **settings: Any,
) -> Iterator[Server]:
    """Run a server at a free port until the block ends."""
    arguments = json.dumps([url, host, settings])
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=preexec_fn,  # noqa: PLW1509 - no other thread runs
    ) as process:
        assert process.stdout is not None
        try:
            listening, store = process.stdout.readline(), process.stdout.readline()
            assert store, process.communicate()[1]
            port = int(listening.rpartition(":")[2])
            yield Server(process, port, store.removeprefix("Store ").strip())
        finally:
            _end(process)
            forget_faketime(process.pid)


def _end(process: subprocess.Popen[str]) -> None:
    """End a server: at once, or so that it can write which branches it took."""
    if os.environ.get("COVERAGE_PROCESS_CONFIG"):
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)
    process.kill()
    process.wait()
