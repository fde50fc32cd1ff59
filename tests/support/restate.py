"""`RestateServer` and `ServiceProcess`: real processes, at ports of their own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from random import randrange, sample
from typing import Any, Final

from dp_backends.restate._restate_server import Node, find_program
from support.server.faketime import faketime_library, forget_faketime

__all__ = [
    "JSON",
    "Done",
    "HttpAnswer",
    "RestateServer",
    "ServiceProcess",
    "ask",
    "dp_restate",
    "eventually",
    "free_ports",
    "lines",
    "pending_ask",
    "running",
    "started",
]

DP_RESTATE: Final = (sys.executable, "-m", "dp_core", "restate")
Done = subprocess.CompletedProcess[str]

JSON: Final = {"Content-Type": "application/json"}
TIMEOUT: Final = 90


@dataclass(frozen=True)
class HttpAnswer:
    """Answer to an HTTP request."""

    status: int
    content_type: str | None
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def ask(
    port: int,
    path: str,
    body: Any = b"",
    headers: Mapping[str, str] | None = None,
    method: str = "POST",
    timeout: float = TIMEOUT,
) -> HttpAnswer:
    """Make one request, with a body of bytes or of JSON, and return its answer."""
    with pending_ask(port, path, body, headers, method, timeout) as answer:
        return answer()


@contextmanager
def pending_ask(
    port: int,
    path: str,
    body: Any = b"",
    headers: Mapping[str, str] | None = None,
    method: str = "POST",
    timeout: float = TIMEOUT,
) -> Iterator[Callable[[], HttpAnswer]]:
    """Make one request; disconnect at the end, whether it was answered or not."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    connection = HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        usual = JSON if data else {}
        sent = usual if headers is None else headers
        with suppress(BrokenPipeError, ConnectionResetError):
            # Who refuses a large body may answer before it has read all.
            connection.request(method, path, data or None, dict(sent))

        def answer() -> HttpAnswer:
            response = connection.getresponse()
            kind = response.getheader("content-type")
            return HttpAnswer(response.status, kind, response.read())

        yield answer
    finally:
        connection.close()


def eventually(holds: Callable[[], bool], fact: str) -> None:
    """Wait until a condition holds; fail with *fact* as the text if it never does."""
    deadline = time.monotonic() + TIMEOUT
    while not holds():
        assert time.monotonic() < deadline, f"not within {TIMEOUT} s: {fact}"
        time.sleep(0.05)


def free_ports(number: int, *, in_a_row: bool = False) -> list[int]:
    """
    Return ports that are free.

    They are below the range from which the system takes ports for connections:
    one of those could be in use by the time that a server starts.
    """
    while True:
        first = randrange(10_000, 32_000)  # noqa: S311 - no secret
        row = range(first, first + number)
        ports = [*row] if in_a_row else sample(range(10_000, 32_000), number)
        with ExitStack() as stack:
            try:
                for port in ports:
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
            return ports


class RestateServer:
    """A restate-server that can be killed and started again on its data."""

    def __init__(self, directory: Path, **environment: str) -> None:
        self.node = Node(directory, *free_ports(3))
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.node.ingress}"

    @property
    def admin_url(self) -> str:
        return f"http://127.0.0.1:{self.node.admin}"

    def start(self) -> None:
        """Start it, without waiting until it is ready."""
        program = find_program()
        assert program is not None
        self.node.directory.mkdir(parents=True, exist_ok=True)
        environment = {**self.node.environment(), **self._environment}
        # By default it reports its use to its makers.
        environment["RESTATE_DISABLE_TELEMETRY"] = "true"
        # More than one, so that calls go from one to another. The default of 24 takes
        # a second of the CPU to start.
        environment.setdefault("RESTATE_DEFAULT_NUM_PARTITIONS", "4")
        with self.node.log.open("ab") as log:
            self._process = subprocess.Popen(
                [program], stdout=log, stderr=log, env=environment
            )

    def wait_until_ready(self) -> None:
        """Wait until it answers requests and queries."""
        for port, path in (
            (self.node.admin, "/health"),
            (self.node.ingress, "/restate/health"),
        ):
            eventually(lambda: self._answers(port, path), f"{path} answers 200")  # noqa: B023 - called before the next turn
        # It is healthy before all of its partitions are there.
        sql = {"query": "SELECT count(1) FROM state"}
        eventually(
            lambda: ask(self.node.admin, "/query", sql).status == 200,
            "all partitions are there",
        )

    def kill(self) -> None:
        """Kill it with SIGKILL, as the kernel does when memory is short."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def query(self, sql: str) -> list[dict[str, Any]]:
        """Return the rows of a query of Restate's state and invocations."""
        headers = {**JSON, "Accept": "application/json"}
        answer = ask(self.node.admin, "/query", {"query": sql}, headers)
        assert 200 == answer.status, answer
        return list(answer.json()["rows"])

    def invocations(self, target: str) -> list[dict[str, Any]]:
        """Return the invocations of a handler that are not completed."""
        return self.query(
            "SELECT id, status FROM sys_invocation "  # noqa: S608 - our own test data
            f"WHERE target = '{target}' AND status <> 'completed'"
        )

    def state(self, id: str) -> dict[str, Any]:
        """Return the state of a promise, as its object keeps it."""
        rows = self.query(
            "SELECT key, value_utf8 FROM state "  # noqa: S608 - our own test data
            f"WHERE service_name = 'promises' AND service_key = '{id}'"
        )
        return {row["key"]: json.loads(row["value_utf8"]) for row in rows}

    def set_state(self, id: str, state: Mapping[str, bytes]) -> None:
        """Make this the state of a promise, all of it."""
        body = {
            "object_key": id,
            "new_state": {key: [*text] for key, text in state.items()},
        }
        answer = ask(self.node.admin, "/v3/services/promises/state", body)
        assert 202 == answer.status, answer
        sql = (
            "SELECT key, value FROM state "  # noqa: S608 - our own test data
            f"WHERE service_name = 'promises' AND service_key = '{id}'"
        )
        kept = {key: text.hex() for key, text in state.items()}
        eventually(
            lambda: {row["key"]: row["value"] for row in self.query(sql)} == kept,
            "its state is changed",
        )

    def waiters(self, id: str) -> int:
        """Return the number of a promise's waiters."""
        return sum(key.startswith("waiter/") for key in self.state(id))

    def _answers(self, port: int, path: str) -> bool:
        assert self._process is not None
        code = self._process.poll()
        assert code is None, f"code {code}: {self.node.log.read_text()[-3000:]}"
        try:
            return ask(port, path, method="GET", timeout=5).status == 200
        except (OSError, HTTPException):
            return False


class ServiceProcess:
    """A program that hosts handlers, and can be killed and started again."""

    def __init__(self, *command: object) -> None:
        self._command = [sys.executable, *map(str, command)]
        self._process: subprocess.Popen[str] | None = None

    @classmethod
    def of_promises(cls, restate: RestateServer) -> ServiceProcess:
        """Return the service of this project."""
        (port,) = free_ports(1)
        serve = ("-m", "dp_core", "restate", "serve", "--port", port)
        return cls(*serve, "--register", restate.admin_url)

    @classmethod
    def of_program(cls, path: Path, restate: RestateServer) -> ServiceProcess:
        """Return a program that takes a port and the URL of Restate's admin API."""
        return cls(path, *free_ports(1), restate.admin_url)

    def shift_clock(self, by: str) -> None:
        """Let its clock differ from all others, when it is started, as in ``+7s``."""
        # The program itself would be the process to kill. Durations are measured as
        # everywhere.
        shifted = (
            f"LD_PRELOAD={faketime_library()}",
            f"FAKETIME={by}",
            "DONT_FAKE_MONOTONIC=1",
        )
        self._command = ["env", *shifted, *self._command]

    def start(self) -> str:
        """Start it; return the line that it prints once it is registered."""
        self._process = subprocess.Popen(
            self._command,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        assert self._process.stdout is not None
        listening = self._process.stdout.readline()
        registered = self._process.stdout.readline()
        assert registered, listening
        return registered

    def suspend(self) -> None:
        """Stop it where it is, as a machine does that hangs."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def stop(self) -> None:
        """End it with SIGTERM, as a supervisor does, unless it was killed."""
        if self._process is not None:
            self._process.terminate()
            try:
                code = self._process.wait(TIMEOUT)
            finally:
                self.kill()
            assert 0 == code

    def kill(self) -> None:
        """Kill it with SIGKILL, as the kernel does when memory is short."""
        if self._process is not None:
            self._process.kill()
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process.wait()
            forget_faketime(self._process.pid)
            self._process = None


def dp_restate(*arguments: object, **environment: str) -> Done:
    """Run a command of ``dp restate`` to its end."""
    return subprocess.run(
        [*DP_RESTATE, *map(str, arguments)],
        capture_output=True,
        check=False,
        env={**os.environ, **environment},
        text=True,
        timeout=60,
    )


@contextmanager
def started(
    *arguments: object,
    stderr: int | None = None,
    script: bool = False,
    source: str = "",
) -> Iterator[subprocess.Popen[str]]:
    """
    Run a command of ``dp restate`` until the block ends.

    Args:
        arguments: The command.
        stderr: As for `subprocess.Popen`.
        script: Whether to start it as a script does with ``&``: Ctrl-C is ignored.
        source: A program to run in place of ``dp``.
    """
    command = [*DP_RESTATE, *map(str, arguments)]
    if source:
        command[1:3] = ["-c", source]
    if script:
        command = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *command]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=stderr, text=True
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


def lines(process: subprocess.Popen[str], number: int) -> list[str]:
    """Return the next lines that a process prints."""
    assert process.stdout is not None
    return [process.stdout.readline().rstrip() for _ in range(number)]


@contextmanager
def running(restate: RestateServer) -> Iterator[RestateServer]:
    """Run a restate-server with our service until the block ends."""
    service = ServiceProcess.of_promises(restate)
    try:
        restate.start()
        restate.wait_until_ready()
        service.start()
        yield restate
    finally:
        service.stop()
        restate.kill()
