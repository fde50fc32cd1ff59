"""``dp serve``, run as a user runs it."""

from __future__ import annotations

import os
import re
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple

import pytest

PROGRAM = (sys.executable, "-m", "dp_core")

Done = subprocess.CompletedProcess[str]


class Server(NamedTuple):
    """A server that listens."""

    process: subprocess.Popen[str]
    port: int
    store: str


Serve = Callable[..., AbstractContextManager[Server]]


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """Return an environment whose default store is a new directory."""
    unset = {"DP_TOKEN", "DP_TOKEN_FILE"}
    kept = {name: value for name, value in os.environ.items() if name not in unset}
    return {**kept, "DP_URL": f"file:{tmp_path}/promises"}


@pytest.fixture
def dp(env: dict[str, str]) -> Callable[..., Done]:
    """Return a function that runs the program to its end."""

    def run(*arguments: str, **variables: str) -> Done:
        return subprocess.run(
            [*PROGRAM, *arguments],
            capture_output=True,
            check=False,
            env=env | variables,
            text=True,
            timeout=60,
        )

    return run


@pytest.fixture
def serve(env: dict[str, str]) -> Serve:
    """Return a function that runs a server as long as a block."""

    @contextmanager
    def run(*arguments: str, **variables: str) -> Iterator[Server]:
        options: dict[str, Any] = {"env": env | variables, "text": True}
        with subprocess.Popen(
            [*PROGRAM, "serve", "--port", "0", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **options,
        ) as process:
            assert process.stdout is not None
            try:
                listening, store = (process.stdout.readline() for _ in range(2))
                port = re.findall(r"^Listening on http://127.0.0.1:(\d+)$", listening)
                yield Server(process, int(port[0]), store)
            finally:
                process.terminate()

    return run


def test_it_says_where_it_listens_and_where_its_store_is(
    serve: Serve, tmp_path: Path
) -> None:
    """Whoever starts it can read both, as soon as it answers."""
    with serve() as server:
        assert f"{tmp_path}/promises" in server.store


def test_clients_meet_at_the_server(serve: Serve, dp: Callable[..., Done]) -> None:
    """What one resolves over HTTP is in the store, for all others."""
    with serve() as server:
        url = f"http://localhost:{server.port}"
        assert 0 == dp("resolve", "id", "[1.10]", "--url", url).returncode

        assert "[1.10]\n" == dp("peek", "id", "--url", url).stdout
        assert "[1.10]\n" == dp("peek", "id").stdout


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_well_when_told_to(serve: Serve, stop: signal.Signals) -> None:
    """A signal ends it with exit code 0 and without a word."""
    with serve() as server:
        server.process.send_signal(stop)
        output = server.process.communicate(timeout=60)

    assert (0, ("", "")) == (server.process.returncode, output)


@pytest.mark.parametrize("way", ["DP_TOKEN", "DP_TOKEN_FILE", "--token-file"])
def test_a_token_can_be_given_in_three_ways(
    serve: Serve, dp: Callable[..., Done], tmp_path: Path, way: str
) -> None:
    """Who has the token is answered, and nobody else."""
    file = tmp_path / "token"
    file.write_text("secret\n")
    file.chmod(0o600)
    options = [way, str(file)] if way == "--token-file" else []
    value = "secret" if way == "DP_TOKEN" else str(file)
    variables = {} if options else {way: value}

    with serve(*options, **variables) as server:
        url = f"http://localhost:{server.port}"
        stranger = dp("peek", "id", "--url", url)
        friend = dp("peek", "id", "--url", url, DP_TOKEN="secret")  # noqa: S106 - a token of tests

    assert 2 == stranger.returncode
    assert "DP_TOKEN" in stranger.stderr
    assert (3, "pending\n") == (friend.returncode, friend.stderr)


def test_the_option_beats_the_environment(
    serve: Serve, dp: Callable[..., Done], tmp_path: Path
) -> None:
    """Of two tokens, the one on the command line counts."""
    file = tmp_path / "token"
    file.write_text("secret\n")
    file.chmod(0o600)

    with serve("--token-file", str(file), DP_TOKEN="other") as server:  # noqa: S106 - a token of tests
        url = f"http://localhost:{server.port}"
        assert 3 == dp("peek", "id", "--url", url, DP_TOKEN="secret").returncode  # noqa: S106 - a token of tests


@pytest.mark.parametrize("way", ["DP_SECRET_FILE", "--secret-file"])
def test_a_token_with_some_rights(
    serve: Serve, dp: Callable[..., Done], tmp_path: Path, way: str
) -> None:
    """`dp token` makes it, the server takes it, and nobody gets in without one."""
    file = tmp_path / "secrets"
    file.write_text("s" * 40 + "\n")
    file.chmod(0o600)
    options = [way, str(file)] if way == "--secret-file" else []
    variables = {} if options else {way: str(file)}
    asked = ("--rights", "settle", "--ids", "order-*", "--expires", "1h", "--for", "al")
    made = dp("token", *asked, *options, **variables)
    assert (0, "") == (made.returncode, made.stderr)
    token = made.stdout.strip()

    with serve(*options, **variables) as server:
        url = f"http://localhost:{server.port}"
        assert 2 == dp("peek", "order-1", "--url", url).returncode
        settled = dp("resolve", "order-1", "1", "--url", url, DP_TOKEN=token)
        assert (0, "1\n") == (settled.returncode, settled.stdout)
        told = dp("info", "order-1", "--json", "--url", url, DP_TOKEN=token)
        assert '"settledBy": "al"' in told.stdout.replace('":"', '": "')
        for refused in (("dispose", "order-1"), ("peek", "x"), ("list",)):
            done = dp(*refused, "--url", url, DP_TOKEN=token)
            assert 2 == done.returncode
            assert "does not allow that" in done.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--rights", "read", "--ids", "x", "--expires", "1h"), "--secret-file"),
        (("--rights", "reed", "--ids", "x", "--expires", "1h"), "'reed'"),
        (("--rights", ",", "--ids", "x", "--expires", "1h"), "without rights"),
        (("--rights", "read", "--expires", "1h"), "--ids"),
        (("--rights", "read", "--ids", "x", "--id", "x", "--expires", "1h"), "--id"),
        (("--rights", "read", "--ids", "", "--expires", "1h"), "empty"),
        (
            ("--rights", "read", "--ids", "x", "--expires", "2001-01-01T00:00:00Z"),
            "over",
        ),
        (("--rights", "read", "--ids", "x"), "--expires"),
    ],
)
def test_a_token_that_cannot_be_made(
    dp: Callable[..., Done], tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    """The error says what to write."""
    file = tmp_path / "secrets"
    file.write_text("s" * 40)
    file.chmod(0o600)
    variables = {} if said == "--secret-file" else {"DP_SECRET_FILE": str(file)}
    done = dp("token", *options, **variables)
    assert (2, "") == (done.returncode, done.stdout)
    assert said in done.stderr


def test_hosts_and_origins_are_passed_on(serve: Serve) -> None:
    """A name that was allowed is answered, and another one is refused."""
    with serve("--allow-host", "promises.test", "--allow-origin", "http://a.test") as (
        _,
        port,
        _,
    ):
        assert 200 == status(port, "promises.test", "http://a.test")
        assert 421 == status(port, "evil.test", "http://a.test")
        assert 403 == status(port, "promises.test", "http://evil.test")


def status(port: int, host: str, origin: str) -> int:
    """Return how a request with these headers is answered."""
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {"Host": host, "Origin": origin, "Content-Type": "application/json"}
    connection.request("POST", "/promise/peek", '{"promiseId": "id"}', headers)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--port", "65536"), "not in the range"),
        (("--port", "80_80"), "'80_80' is not a valid whole number; write digits"),
        (("--idle-seconds", "nan"), "'nan' is not a valid number; write digits"),
        (("--idle-seconds", "1_0"), "'1_0' is not a valid number; write digits"),
        (("--idle-seconds", "1e999"), "not in the range"),
        (("--allow-host", "http://promises.test"), "'http://promises.test' is not"),
        (("--allow-origin", "null"), "'null' is not a valid origin"),
        (("--host", "0.0.0.0"), "token"),  # noqa: S104 - it must be refused
        (("--token-file", "/dev/null/none"), "cannot be read"),
        (("--url", "nowhere:"), "no backend for store URL"),
        (("--public-url", "promises.test"), "not a valid URL of a server"),
        (("--public-url", "https://promises.test/p"), "begin with /p"),
    ],
)
def test_what_it_cannot_do_is_one_line(
    dp: Callable[..., Done], arguments: tuple[str, ...], message: str
) -> None:
    """It does not start, and says why, with exit code 2."""
    refused(dp("serve", *arguments), message)


@pytest.mark.parametrize("files", [8, 12, 16, 63])
def test_a_server_without_files_does_not_start(env: dict[str, str], files: int) -> None:
    """Else its HTTP server would abort, or serve nobody."""
    done = subprocess.run(
        [*PROGRAM, "serve", "--port=0", "--url=memory:"],
        capture_output=True,
        check=False,
        env=env,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (files, files)),
        text=True,
        timeout=60,
    )
    refused(done, "ulimit -n")


def test_a_token_file_open_to_others_is_refused(
    dp: Callable[..., Done], tmp_path: Path
) -> None:
    """A secret that others can write is refused, with the way to close it."""
    file = tmp_path / "token"
    file.write_text("secret\n")
    file.chmod(0o660)

    refused(dp("serve", "--token-file", str(file)), "chmod 600")


@pytest.mark.parametrize("token", ["abcde", "1", "t~k~n"])
def test_a_token_of_five_characters_is_refused(
    dp: Callable[..., Done], token: str
) -> None:
    """What would be guessed is refused, with a way to make a better one."""
    refused(dp("serve", DP_TOKEN=token), "token_urlsafe")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--token-file", ""), "the token file '' has no name"),
        (("--secret-file", ""), "the secret file '' has no name"),
        (("--host", "0.0.0.0", "--token-file", ""), "has no name"),  # noqa: S104 - is refused
    ],
)
def test_what_has_no_value_is_not_without_a_token(
    dp: Callable[..., Done],
    arguments: tuple[str, ...],
    message: str,
) -> None:
    """A server that was to have a token does not start without one."""
    refused(dp("serve", "--port", "0", *arguments), message)


def test_a_port_in_use_is_one_line(dp: Callable[..., Done]) -> None:
    """It says which port, so that another can be chosen."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        refused(dp("serve", "--port", port), port)


@pytest.mark.parametrize("package", ["starlette", "granian"])
def test_without_its_extra_it_says_what_to_install(
    dp: Callable[..., Done], tmp_path: Path, package: str
) -> None:
    """A missing package is not a traceback, and no other command needs it."""
    line = f"raise ModuleNotFoundError({package!r}, name={package!r})\n"
    (tmp_path / f"{package}.py").write_text(line)
    path = str(tmp_path)

    advice = "pip install 'durable-promises[server]'"
    refused(dp("serve", PYTHONPATH=path), advice)
    assert 3 == dp("peek", "id", PYTHONPATH=path).returncode


def refused(done: Done, message: str) -> None:
    """Check that the program failed with one line that has *message* in it."""
    assert (2, "") == (done.returncode, done.stdout)
    assert done.stderr.startswith("dp: ")
    assert message in done.stderr
    assert 1 == done.stderr.count("\n")
