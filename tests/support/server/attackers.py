"""``dp serve`` as a process under attack, and peers that speak to it in plain bytes."""

from __future__ import annotations

import json
import os
import re
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path
from typing import Final

from support.paths import TESTS

__all__ = [
    "SECONDS",
    "Victim",
    "all_open",
    "answer",
    "received",
    "unsent",
    "until",
    "victim",
]

SECONDS: Final = 60
"""The patience of a test: far more than anything takes."""

CANDIDATE: Final = os.environ.get("DP_ATTACKED")
"""A server to attack in place of ``dp serve``, one of those below."""

CANDIDATES: Final = TESTS / "server" / "attacks" / "candidates.py"

WITH_SETTINGS: Final = """
import dataclasses, json, sys
from dp_core import server
from dp_core.cli import main
asked = json.loads(sys.argv.pop(1))
plain = server.serve
async def serve(url, host, port, settings, announce):
    await plain(url, host, port, dataclasses.replace(settings, **asked), announce)
server.serve = serve
sys.argv.insert(1, "serve")
sys.exit(main())
"""


@dataclass(frozen=True)
class Victim:
    """A server that is attacked."""

    process: subprocess.Popen[str]
    port: int

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), SECONDS)

    def head(self, path: str, *headers: str, method: str = "POST") -> bytes:
        """Return the head of a request, but for its last line."""
        lines = [
            f"{method} {path} HTTP/1.1",
            f"Host: localhost:{self.port}",
            "Content-Type: application/json",
            *headers,
        ]
        return "".join(f"{line}\r\n" for line in lines).encode("latin-1")

    def request(self, path: str, body: bytes = b"", *headers: str) -> bytes:
        """Return the bytes of a request whose body has a length."""
        length = f"Content-Length: {len(body)}"
        return self.head(path, length, *headers) + b"\r\n" + body

    def ask(self, path: str, body: bytes = b"", *headers: str) -> tuple[int, bytes]:
        """Ask on a connection of its own; return status and body."""
        with self.connect() as stream:
            stream.sendall(self.request(path, body, *headers))
            return answer(stream)

    def send(self, *pieces: bytes) -> tuple[int, bytes]:
        """Send pieces, each in a segment of its own; return the first answer."""
        with self.connect() as stream:
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for piece in pieces:
                stream.sendall(piece)
                until(lambda: unsent(stream) == 0)
            return answer(stream)

    def memory(self) -> int:
        """Return the resident memory, in bytes."""
        return self._status("VmRSS") * 1024

    def files(self) -> int:
        """Return how many files it has open."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def files_at_rest(self) -> int:
        """Return how many files it has open while nobody is connected."""
        with self.connect() as stream:
            # It listens before all of its threads have opened theirs.
            stream.sendall(self.request("/promises/honest/peek"))
            assert 200 == answer(stream)[0]
            return self.files() - 1

    def cpu(self) -> float:
        """Return the seconds of CPU that it has used."""
        path = Path(f"/proc/{self.process.pid}/stat")
        fields = path.read_text("ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> str:
        """End it by SIGTERM; return its log."""
        self.process.terminate()
        return self.process.communicate(timeout=SECONDS)[1]

    def _status(self, name: str) -> int:
        text = Path(f"/proc/{self.process.pid}/status").read_text("ascii")
        return int(re.findall(rf"^{name}:\s+(\d+)", text, re.MULTILINE)[0])


def answer(stream: socket.socket, method: str = "POST") -> tuple[int, bytes]:
    """Read one answer."""
    response = HTTPResponse(stream, method=method)
    response.begin()
    return response.status, response.read()


def unsent(stream: socket.socket) -> int:
    """Return how many bytes the other end has not acknowledged (SIOCOUTQ)."""
    import fcntl  # noqa: PLC0415 - Linux only
    import struct  # noqa: PLC0415 - see above
    import termios  # noqa: PLC0415 - see above

    found = fcntl.ioctl(stream, termios.TIOCOUTQ, b"\0\0\0\0")
    return int(struct.unpack("=i", found)[0])


def until(true: Callable[[], bool]) -> None:
    """Ask again and again, until it is so; it must be so at last."""
    deadline = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def received(stream: socket.socket) -> bytes:
    """Return what comes next; nothing at the end, however it came."""
    try:
        return stream.recv(65536)
    except ConnectionError:
        return b""


@contextmanager
def victim(
    *arguments: str,
    url: str = "memory:",
    files: int | None = None,
    env: dict[str, str] | None = None,
    settings: dict[str, float] | None = None,
) -> Iterator[Victim]:
    """
    Run a server until the block ends.

    Args:
        arguments: Options for ``dp serve``.
        url: Its store.
        files: The most files that it may have open.
        env: Variables of its environment, beside ours.
        settings: Settings that ``dp serve`` has no option for.
    """
    unset = {"DP_TOKEN", "DP_TOKEN_FILE", "DP_URL"}
    kept = {name: value for name, value in os.environ.items() if name not in unset}
    program = ["-m", "dp_core", "serve"]
    if CANDIDATE is not None:
        program = [str(CANDIDATES), CANDIDATE]
    if settings is not None:
        program = ["-c", WITH_SETTINGS, json.dumps(settings)]

    def limit() -> None:
        if files is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))

    with subprocess.Popen(
        [sys.executable, *program, "--port", "0", "--url", url, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=kept | (env or {}),
        preexec_fn=limit,  # noqa: PLW1509 - no other thread runs
    ) as process:
        assert process.stdout is not None
        try:
            found = re.search(r":(\d+)$", process.stdout.readline())
            assert found, process.communicate()[1]
            process.stdout.readline()
            yield Victim(process, int(found[1]))
        finally:
            process.kill()


@contextmanager
def all_open(streams: Iterable[socket.socket]) -> Iterator[list[socket.socket]]:
    """Keep connections open until the block ends."""
    with ExitStack() as stack:
        yield [stack.enter_context(stream) for stream in streams]
