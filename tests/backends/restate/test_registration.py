"""Registration with Restate: when it is done, and what is said where it cannot be."""

from __future__ import annotations

import logging
import re
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from secrets import token_hex
from signal import SIGINT, SIGTERM
from threading import Thread

import anyio
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from dp_backends.restate import SERVICES, _admin, serve
from dp_core.cli import Status, _main
from support.restate import (
    Done,
    RestateServer,
    ask,
    dp_restate,
    free_ports,
    lines,
    started,
)

Run = Callable[..., Done]
Announced = Callable[[str], tuple[str, str]]


@pytest.fixture
def signals() -> Iterator[None]:
    """Give signals back their handlers: the service takes them for its process."""
    kept = {signum: signal.getsignal(signum) for signum in (SIGINT, SIGTERM)}
    yield
    for signum, handler in kept.items():
        signal.signal(signum, handler)


@pytest.fixture
def here(
    signals: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Run]:
    """Return a function that runs dp restate in this process: a second cheaper."""
    logger = logging.getLogger("dp_backends")
    handlers = list(logger.handlers)

    def run(*arguments: object) -> Done:
        words = [str(argument) for argument in arguments]
        monkeypatch.setattr(sys, "argv", ["dp", "restate", *words])
        capsys.readouterr()
        status = _main.run()
        assert isinstance(status, Status)
        return Done(words, int(status), *capsys.readouterr())

    yield run
    logger.handlers[:] = handlers


@pytest.fixture
def announced(signals: None) -> Announced:
    """Return a function that serves until two lines are announced; the URL, a line."""

    def run(register: str) -> tuple[str, str]:
        said: list[str] = []

        def hear(line: str) -> None:
            said.append(line)
            if len(said) == 2:
                signal.raise_signal(SIGTERM)

        (port,) = free_ports(1)
        serving = partial(serve, port=port, register=register, announce=hear)
        anyio.run(serving, SERVICES)
        listening, registered = said
        return listening.removeprefix("Listening at "), registered

    return run


@pytest.fixture
def server(program: None, tmp_path: Path) -> Iterator[RestateServer]:
    """Return a restate-server where no service is registered."""
    restate = RestateServer(tmp_path / "restate")
    restate.start()
    try:
        restate.wait_until_ready()
        yield restate
    finally:
        restate.kill()


def test_serve_registers_where_it_must(server: RestateServer) -> None:
    """Serving registers once, replaces another process, and exits with 0."""
    one, two = free_ports(2)
    replaced = "registered, in place of another deployment"
    for port, signum, what in (
        (one, signal.SIGTERM, "registered"),
        (one, signal.SIGINT, "was registered already"),
        (two, signal.SIGTERM, replaced),
        (one, signal.SIGTERM, "registered anew"),
    ):
        here, id = f"http://127.0.0.1:{port}", token_hex(8)
        with started("serve", "--port", port, "--register", server.admin_url) as serve:
            said = lines(serve, 2)
            won = ask(server.node.ingress, f"/promises/{id}/resolve", 1)
            serve.send_signal(signum)
            code = serve.wait(30)

        assert [f"Listening at {here}", f"{here} {what} at {server.admin_url}"] == said
        assert (200, 0) == (won.status, code)


def test_without_a_restate_it_says_so(here: Run) -> None:
    """Without an admin API, the error is one line that says what to do."""
    port, closed = free_ports(2)
    admin = f"http://127.0.0.1:{closed}"
    for done in (
        here("serve", "--port", port, "--register", admin),
        here("ids", "--admin", admin),
    ):
        assert 2 == done.returncode
        assert f"cannot reach Restate at {admin}" in done.stderr
        assert "dp restate up" in done.stderr
        assert 1 == done.stderr.count("\n")


def test_a_service_that_restate_does_not_reach_is_an_error(
    restate: RestateServer, here: Run
) -> None:
    """The error has Restate's own reason in it."""
    port, closed = free_ports(2)
    elsewhere = f"http://127.0.0.1:{closed}"
    done = here(
        *("serve", "--port", port, "--register", restate.admin_url),
        *("--advertise", elsewhere),
    )

    assert 2 == done.returncode
    assert f"Restate at {restate.admin_url} refuses" in done.stderr
    assert elsewhere in done.stderr


def test_calls_that_restate_has_not_signed_are_refused(server: RestateServer) -> None:
    """With the key of another Restate, calls of this one get a 401."""
    key = "publickeyv1_w7YHemBctH5Ck2nQRQ47iBBqhNHy4FV7t2Usbye2A6f"
    (port,) = free_ports(1)
    serve = ("serve", "--port", port, "--register", server.admin_url)
    done = dp_restate(*serve, "--identity-key", key)

    assert 2 == done.returncode
    assert "401" in done.stderr


def test_calls_that_restate_has_signed_are_taken(program: None, tmp_path: Path) -> None:
    """With the key of the Restate that calls, it serves, but not unsigned calls."""
    key = Ed25519PrivateKey.generate()
    pem = tmp_path / "key.pem"
    pem.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    option = "RESTATE_WORKER__INVOKER__REQUEST_IDENTITY_PRIVATE_KEY_PEM_FILE"
    signing = RestateServer(tmp_path / "signing", **{option: str(pem)})
    unsigned = RestateServer(tmp_path / "unsigned")
    (port,) = free_ports(1)
    serve = ("serve", "--port", port, "--register", signing.admin_url)
    try:
        for restate in (signing, unsigned):
            restate.start()
            restate.wait_until_ready()
        with started(*serve, "--identity-key", shown_key(signing)) as service:
            said = lines(service, 2)
            won = ask(signing.node.ingress, "/promises/signed/resolve", 1)
            refused = ask(
                unsigned.node.admin, "/v3/deployments", {"uri": said[0].split()[-1]}
            )
    finally:
        signing.kill()
        unsigned.kill()

    assert said[1].endswith(f"registered at {signing.admin_url}")
    assert {"value": 1} == won.json()
    assert b"401" in refused.body


def shown_key(restate: RestateServer) -> str:
    """Return the public key that Restate wrote to its log."""
    return re.findall(r"publickeyv1_\w+", restate.node.log.read_text())[0]


Answer = tuple[int, bytes]
NOT_FOUND = (404, b'{"code":404,"message":"service \'promise\' not found"}')


@contextmanager
def stand_in(
    answers: Mapping[str, Answer],
    peeks: list[Answer] | None = None,
    date: str | None = None,
    behind: int = 0,
) -> Iterator[tuple[str, deque[Answer]]]:
    """Answer as Restate might, by path; yield the URL, and the peeks to come."""
    coming = deque(peeks or ())

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            if self.path == "/promise/peek" and coming:
                status, body = coming.popleft()
            else:
                status, body = answers.get(self.path, (404, b"page not found"))
            body = body.replace(b"HERE", url.encode())
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def date_time_string(self, timestamp: float | None = None) -> str:
            if date is not None:
                return date
            return super().date_time_string(time.time() - behind)

        do_POST = do_GET  # noqa: N815 - the name is http.server's

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield url, coming
        finally:
            server.shutdown()
            thread.join()


ADMIN = {
    "/v3/services": (200, b'{"services": []}'),
    "/v3/deployments": (201, b'{"id": "dp_1"}'),
    "/version": (200, b'{"version": "1.7.12", "ingress_endpoint": "HERE/"}'),
    "/promise/peek": (200, b"null"),
}


def test_it_is_registered_once_the_ingress_answers_a_peek(announced: Announced) -> None:
    """Whatever a starting ingress answers first, nothing is announced before."""
    starting = [
        *(NOT_FOUND, (503, b""), (200, b"<html>soon</html>"), NOT_FOUND),
        *((200, b""), (200, b'{"message": "Internal server error"}')),
    ]
    with stand_in(ADMIN, starting) as (url, coming):
        here, said = announced(url)

        assert not coming
    assert f"{here} registered at {url}" == said


@pytest.mark.parametrize(
    ("version", "peek", "why"),
    [
        (b'{"version": "1", "ingress_endpoint": "HERE"}', NOT_FOUND, "not found"),
        (b'{"version": "1", "ingress_endpoint": "HERE"}', (200, b"<p>"), "'<p>'"),
        (b'{"version": "1", "ingress_endpoint": "http://127.0.0.1:1"}', None, "reach"),
        (b'{"version": "1", "ingress_endpoint": "nonsense"}', None, "not a valid URL"),
        (b'{"version": "1"}', None, ""),
    ],
    ids=["never knows", "another program", "nobody", "not a URL", "not said"],
)
def test_an_ingress_that_is_never_ready_is_named(
    version: bytes,
    peek: Answer | None,
    why: str,
    announced: Announced,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After a while the service is announced all the same, with what was seen."""
    monkeypatch.setattr(_admin, "_READY_SECONDS", 0.3)
    answers = {**ADMIN, "/version": (200, version)}
    if peek:
        answers["/promise/peek"] = peek
    with stand_in(answers) as (url, _):
        here, said = announced(url)

    assert said.startswith(f"{here} registered at {url}")
    assert ("not ready" in said) is bool(why)
    assert why in said


@pytest.mark.parametrize(
    ("behind", "said"),
    [(3600, "3,6"), (-40, "behind Restate's"), (10, "ahead of Restate's"), (0, "")],
)
def test_clocks_that_differ_are_named(
    behind: int, said: str, announced: Announced
) -> None:
    """Who registers hears by how much the clock here is ahead, or behind."""
    with stand_in(ADMIN, behind=behind) as (url, _):
        _, line = announced(url)

    assert ("keep them in step" in line) is bool(said)
    assert said in line


@pytest.mark.parametrize("date", ["", "yesterday", "Thu, 99 Nov 2026 99:99:99 GMT"])
def test_a_date_that_is_none_says_nothing(date: str, announced: Announced) -> None:
    """What is not a date is not a difference of clocks, nor an error."""
    with stand_in(ADMIN, date=date) as (url, _):
        here, line = announced(url)

    assert f"{here} registered at {url}" == line


@pytest.mark.parametrize(
    "services",
    [b"<html>", b"", b"[]", b"{}", b'{"services": 5}', b'{"services": [{"name": 1}]}'],
)
def test_what_is_not_restate_is_said(services: bytes, here: Run) -> None:
    """Another program at the URL is an error in one line that shows its answer."""
    (port,) = free_ports(1)
    with stand_in({**ADMIN, "/v3/services": (200, services)}) as (url, _):
        done = here("serve", "--port", port, "--register", url)

    assert (2, 1) == (done.returncode, done.stderr.count("\n"))
    assert f"what answers at {url} is not Restate" in done.stderr


def test_the_ingress_is_not_the_admin_api(restate: RestateServer, here: Run) -> None:
    """Who names the port of clients is told of the other one."""
    (port,) = free_ports(1)
    for arguments in (
        ("serve", "--port", port, "--register", restate.url),
        ("ids", "--admin", restate.url),
    ):
        done = here(*arguments)

        assert 2 == done.returncode
        assert "its admin API has another port" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        *(("serve", "--identity-key", key) for key in ("nonsense", "", "publickeyv1_")),
        ("serve", "--identity-key", f"publickeyv1_{'x' * 500}"),
        *(("serve", "--host", host) for host in ("localhost", "", "1.2.3", "::g")),
        *(
            ("ids", "--admin", url)
            for url in ("", "nonsense", "http://[::1", "file:///etc/passwd", "http://x")
        ),
        ("ids", "--admin", "http://localhost:99999"),
        ("ids", "--admin", "http://localhost:1\n2"),
        ("serve", "--register", "localhost:9070"),
    ],
    ids=repr,
)
def test_what_is_not_valid_is_one_line(arguments: tuple[str, ...], here: Run) -> None:
    """A key, an address or a URL that is not valid is named, without a traceback."""
    (port,) = free_ports(1)
    done = here(*arguments, *(["--port", port] if "ids" not in arguments else []))

    assert (2, 1) == (done.returncode, done.stderr.count("\n")), done.stderr
    assert len(done.stderr) < 400
