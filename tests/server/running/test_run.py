"""A real server process: how it starts, what it survives, how it stops."""

from __future__ import annotations

import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from select import select
from typing import Any, Final

import pytest

import dp_core as dp
from dp_core import BackendUnavailableError, UnknownBackendError
from dp_core.server import Settings, serve
from dp_core.server._listening import _listener
from support.server_process import JSON, TIMEOUT, Server, read, running

AWAIT: Final = "/promise/await"
X: Final = b'{"promiseId":"x"}'

# Where Granian runs.
ON_ASYNCIO: Final = pytest.mark.parametrize("anyio_backend", ["asyncio"])


def until(true: Callable[[], bool]) -> None:
    """Ask again and again, until it is so; it must be so at last."""
    deadline = time.monotonic() + TIMEOUT
    while not true():
        assert time.monotonic() < deadline


@contextmanager
def waiters(server: Server, number: int) -> Iterator[list[HTTPConnection]]:
    """Let *number* clients wait for one promise; the server holds no more."""
    with ExitStack() as stack:
        connections = {}
        for _ in range(number + 1):
            connection = server.connect()
            stack.callback(connection.close)
            connection.request("POST", AWAIT, X, JSON)
            connections[connection.sock] = connection
        # One too many: when one is put out, all the others wait.
        [refused], _, _ = select(list(connections), [], [], TIMEOUT)
        assert 503 == read(connections.pop(refused)).status
        yield list(connections.values())


# Starting -------------------------------------------------------------------


def test_it_says_where_it_listens_and_where_its_store_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The port is the real one, the directory absolute; a client gets in at once."""
    monkeypatch.chdir(tmp_path)
    with running("file:./my%20promises") as server:
        with socket.create_connection(("127.0.0.1", server.port), TIMEOUT):
            pass
        answer = server.ask("/promises/x/resolve", b"1")

    assert server.port != 0
    assert f"file:{tmp_path}/my%20promises" == server.store
    assert 200 == answer.status
    assert (tmp_path / "my promises").is_dir()


@pytest.mark.parametrize(
    ("url", "store"),
    [
        ("memory:name", "memory:name"),
        ("http://user:secret@localhost:1/a", "http://…@localhost:1/a"),
        ("file:///tmp/../tmp/x", "file:/tmp/x"),
    ],
)
def test_a_store_is_shown_without_secrets(url: str, store: str) -> None:
    """Passwords are not announced."""
    assert store == dp.server._listening._run._findable(url)


async def lines_of(*arguments: Any, **more: Any) -> list[str]:
    """Return what a server announces before it fails to start."""
    lines: list[str] = []
    await serve(*arguments, **more, announce=lines.append)
    return lines


@ON_ASYNCIO
async def test_a_port_in_use_is_named() -> None:
    """Whoever starts a second server is told which port, and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BackendUnavailableError, match=f"port {port}: .* another"):
            await lines_of("memory:", "127.0.0.1", port)


@ON_ASYNCIO
async def test_two_servers_do_not_share_a_port() -> None:
    """A second one is refused, although the HTTP server would share it."""
    with running("memory:") as server:
        for host in ("127.0.0.1", "localhost"):
            with pytest.raises(BackendUnavailableError, match="another"):
                await lines_of("memory:", host, server.port)

        assert 200 == server.ask("/promises/x/peek").status


@ON_ASYNCIO
@pytest.mark.parametrize(
    ("host", "port", "advice"),
    [
        ("192.0.2.1", 0, "DP_TOKEN"),
        ("0.0.0.0", 0, "DP_TOKEN"),  # noqa: S104 - is refused
        ("::", 0, "DP_TOKEN"),
        ("127.0.0.1", 70000, "0 to 65535"),
        ("127.0.0.1", -1, "0 to 65535"),
        ("no.such.host.invalid", 0, "not a name or an address"),
        ("x" * 70, 0, "not a name or an address"),
    ],
)
async def test_where_it_cannot_listen(host: str, port: int, advice: str) -> None:
    """A host or port that cannot be is refused with what to do about it."""
    with pytest.raises(BackendUnavailableError, match=advice):
        await lines_of("memory:", host, port)


@ON_ASYNCIO
async def test_an_address_of_another_machine_is_named() -> None:
    """With a token it may listen anywhere, but only on this machine."""
    with pytest.raises(BackendUnavailableError, match="no such address"):
        await lines_of("memory:", "192.0.2.1", 0, Settings(token="t" * 40))


@ON_ASYNCIO
async def test_an_unknown_store_is_named() -> None:
    """A URL that no plugin knows is refused before anything listens."""
    with pytest.raises(UnknownBackendError, match="nosuch"):
        await lines_of("nosuch:x", "127.0.0.1", 0)


@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_trio_is_told_that_this_server_is_not_for_it() -> None:
    """On trio the app runs, this server does not, and says so."""
    with pytest.raises(BackendUnavailableError, match="asyncio"):
        await lines_of("memory:", "127.0.0.1", 0)


def test_with_a_token_it_can_serve_other_machines() -> None:
    """At all addresses, it answers under the one it was reached at."""
    with running("memory:", "0.0.0.0", token="t" * 40) as server:  # noqa: S104 - a test
        headers = {**JSON, "Authorization": f"Bearer {'t' * 40}"}
        here = server.ask("/promise/peek", X, headers)
        rebound = server.ask("/promise/peek", X, {**headers, "Host": "evil"})

    assert 200 == here.status
    assert 421 == rebound.status


def test_the_name_it_listens_at_is_its_own() -> None:
    """A server that was given a name answers to it, at its port."""
    name = socket.gethostname()
    try:
        socket.gethostbyname(name)
    except OSError:
        pytest.skip(f"this machine's name {name!r} has no address")
    with running("memory:", name, token="t" * 40) as server:
        connection = HTTPConnection(name, server.port, timeout=TIMEOUT)
        headers = {**JSON, "Authorization": f"Bearer {'t' * 40}"}
        connection.request("POST", "/promise/peek", X, headers)
        answer = read(connection)
        connection.request("POST", "/promise/peek", X, {**headers, "Host": f"{name}:1"})
        elsewhere = read(connection)
        connection.close()

    assert 200 == answer.status
    assert 421 == elsewhere.status


@pytest.mark.parametrize("missing", ["starlette", "granian"])
def test_without_its_libraries_it_says_what_to_install(missing: str) -> None:
    """The extra that brings them is named; nothing else is a traceback."""
    program = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        "import dp_core\n"
        "try: import dp_core.server\n"
        "except ImportError as error: print(error)\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert missing in said.stdout
    assert "pip install 'durable-promises[server]'" in said.stdout


# Running --------------------------------------------------------------------


def test_a_wait_is_dropped_when_its_client_goes_away() -> None:
    """A client that closes its connection gives all back that it took."""
    with running("memory:", max_waiters=1) as server:
        server.ask("/promise/peek", X)
        at_rest = server.files()
        with waiters(server, 1):
            assert 200 == server.ask("/promise/peek", X).status
        until(lambda: server.files() <= at_rest)


def test_a_wait_is_dropped_when_its_client_is_killed() -> None:
    """A client need not say goodbye."""
    with running("memory:", max_waiters=1) as server:
        server.ask("/promise/peek", X)
        at_rest = server.files()
        with waiters(server, 1) as [connection]:
            stdin = connection.sock
            with subprocess.Popen(["sleep", "600"], stdin=stdin) as holder:
                connection.close()
                assert 200 == server.ask("/promise/peek", X).status
                assert server.files() > at_rest
                holder.kill()
        until(lambda: server.files() <= at_rest)


def test_a_completion_wakes_all_who_wait() -> None:
    """Many clients on one promise are all answered the one outcome."""
    with (
        running("memory:", max_waiters=300) as server,
        waiters(server, 300) as connections,
    ):
        settled = server.ask("/promises/x/resolve", b'"done"')
        answers = [read(connection) for connection in connections]

    assert 200 == settled.status
    assert [{"value": "done"}] * 300 == [answer.json() for answer in answers]


def limit_files(number: int) -> Callable[[], None]:
    """Return what gives a new process fewer files."""
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (number // 2, number))


def test_waiters_leave_files_to_others() -> None:
    """
    A server takes all the files it may have, and keeps some from waiters.

    Otherwise the last waiter would take the connection that settles.
    """
    with (
        running("memory:", preexec_fn=limit_files(100)) as server,
        waiters(server, 56),
    ):
        limits = Path(f"/proc/{server.process.pid}/limits").read_text("ascii")
        settled = server.ask("/promises/x/resolve", b"1")

    [files] = [line for line in limits.splitlines() if "open files" in line]
    assert ["100", "100"] == files.split()[3:5]
    assert 200 == settled.status


def test_connections_are_quick_and_probed() -> None:
    """
    Answers leave at once, and a client whose machine vanished is noticed.

    Each connection has what was set once, on the socket that listens.
    """
    expected = {
        (socket.IPPROTO_TCP, socket.TCP_NODELAY): True,
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE): True,
        (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE): 60,
        (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL): 15,
        (socket.IPPROTO_TCP, socket.TCP_KEEPCNT): 4,
        (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT): 7500,
    }
    with (
        _listener._open(socket.AF_INET, ("127.0.0.1", 0)) as listener,
    ):
        _listener.take_over(listener, 7.5)
        stream = socket.create_connection(listener.getsockname(), TIMEOUT)
        connection, _ = listener.accept()
        stream.close()
        with connection:
            found = {option: connection.getsockopt(*option) for option in expected}

    assert found == expected


# Stopping -------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_after_all_who_wait_are_answered(
    number: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    """Waiters are told to come back, idle connections closed, nothing is logged."""
    with running("memory:", max_waiters=150) as server:
        idle = server.connect()
        idle.request("POST", "/promise/peek", X, JSON)
        read(idle)
        server.talk(b"GARBAGE\r\n\r\n")
        with waiters(server, 150) as connections:
            began = time.monotonic()
            server.process.send_signal(number)
            answers = [read(connection) for connection in connections]
            answered = time.monotonic()
            code = server.process.wait(10)
            ended = time.monotonic()
        assert server.process.stderr is not None
        logged = server.process.stderr.read()
        assert b"" == idle.sock.recv(1)
        idle.close()

    with capsys.disabled():
        print(  # noqa: T201 - a figure to read, not to assert
            f"\n{number.name}: 150 waiters answered after {answered - began:.2f} s, "
            f"exit after {ended - began:.2f} s"
        )
    assert 0 == code
    assert "" == logged
    assert {503} == {answer.status for answer in answers}
    assert {"1"} == {answer.headers["retry-after"] for answer in answers}
    assert {"close"} == {answer.headers["connection"] for answer in answers}


def half_a_request(server: Server) -> socket.socket:
    """Send a request whose body does not come."""
    stream = socket.create_connection(("127.0.0.1", server.port), TIMEOUT)
    stream.sendall(
        b"POST /promise/resolve HTTP/1.1\r\nHost: localhost:%d\r\n"
        b"Content-Type: application/json\r\nContent-Length: 100\r\n"
        # Its answer shows that the request is being read.
        b"Expect: 100-continue\r\n\r\n" % server.port
    )
    assert b"100 Continue" in stream.recv(100)
    return stream


def test_a_stop_does_not_wait_for_ever() -> None:
    """Who sends half a request cannot keep a server from exiting."""
    with running("memory:", grace_seconds=1) as server, half_a_request(server):
        server.process.terminate()

        assert 0 == server.process.wait(10)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once(number: signal.Signals) -> None:
    """Who says it twice does not wait for what is still running."""
    with running("memory:", grace_seconds=600) as server, half_a_request(server):
        idle = server.connect()
        idle.request("POST", "/promise/peek", X, JSON)
        read(idle)
        server.process.send_signal(number)
        # Closed, so the first signal was heard.
        assert b"" == idle.sock.recv(1)
        idle.close()
        server.process.send_signal(number)

        assert server.process.wait(10) == -number


@pytest.mark.parametrize("store", ["memory:", "file:{}"])
async def test_a_long_rejection_survives_the_way_there_and_back(
    store: str, tmp_path: Path
) -> None:
    """With raised limits, a message of 2 MB is settled and can be read by all."""
    limit = 8 * 1024 * 1024
    with running(store.format(tmp_path), max_value_bytes=limit) as server:
        url = f"http://127.0.0.1:{server.port}"
        async with dp.connect(url, max_value_bytes=limit) as promises:
            promise = promises.promise("long")
            won = await promise.reject("x" * 2_000_000)
            seen = await promise.peek()

    assert dp.Rejected("x" * 2_000_000) == won == seen
