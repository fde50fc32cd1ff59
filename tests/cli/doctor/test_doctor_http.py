"""``dp doctor`` on servers: ours, one like the reference, strangers, silent ones."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, ClassVar

import pytest

from dp_backends.http import _checks
from support.core.program import Run
from support.server_process import running

Check = dict[str, Any]


@pytest.fixture
def found(here: Run, env: dict[str, str]) -> Callable[[str], dict[str, Check]]:
    """Return a function that tells the checks of a server by their names."""

    def found(url: str) -> dict[str, Check]:
        env["DP_URL"] = url
        done = here("doctor", "--json")
        assert b"" == done.stderr
        return {check["name"]: check for check in json.loads(done.stdout)}

    return found


class Reference(BaseHTTPRequestHandler):
    """A server that has what the reference has, and says so of the rest."""

    protocol_version = "HTTP/1.1"
    said: ClassVar[dict[str, tuple[int, bytes]]] = {"/promise/peek": (200, b"null")}
    date: ClassVar[datetime | None] = None
    kind: ClassVar[str] = "application/json"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        lacking = (404, b'{"code":404,"message":"service not found"}')
        status, body = self.said.get(self.path, lacking)
        self.send_response_only(status)
        self.send_header("Date", format_datetime(self.date or datetime.now(UTC)))
        self.send_header("Server", "tiny")
        self.send_header("Content-Type", self.kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST  # noqa: N815 - the name of the base class

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Run a server until the block ends; yield its URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_our_server_has_all(
    found: Callable[..., dict[str, Check]], server: str
) -> None:
    """It answers, its clock is right, and it has all endpoints."""
    checks = found(server)

    assert {"ok"} == {check["status"] for check in checks.values()}
    assert "dp serve" in checks["wire"]["text"]
    assert "terms, lists, batches, streams" in checks["endpoints"]["text"]
    assert "at most" in checks["clock"]["text"]


def test_a_token_is_tried(
    found: Callable[..., dict[str, Check]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The right one, a wrong one, and none where the server asks for one."""
    with running("memory:", token="geheim-und-lang") as it:  # noqa: S106 - no secret
        url = f"http://127.0.0.1:{it.port}"
        monkeypatch.delenv("DP_TOKEN", raising=False)
        none = found(url)
        monkeypatch.setenv("DP_TOKEN", "falsch-und-lang")
        wrong = found(url)
        monkeypatch.setenv("DP_TOKEN", "geheim-und-lang")
        right = found(url)
        monkeypatch.setenv("DP_TOKEN", "not a token")
        broken = found(url)

    assert ["problem", "problem", "ok", "problem"] == [
        checks["token"]["status"] for checks in (none, wrong, right, broken)
    ]
    assert "DP_TOKEN" in none["token"]["advice"]
    assert "falsch" not in json.dumps(wrong)
    assert "streams" in right["endpoints"]["text"]


def test_a_token_on_the_open_road_is_a_warning(
    found: Callable[..., dict[str, Check]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With http: to another machine whoever is on the way reads it."""
    monkeypatch.setenv("DP_TOKEN", "geheim-und-lang")
    monkeypatch.setattr(_checks, "_SECONDS", 0.1)
    # RFC 5737: an address that nobody has.
    checks = found("http://192.0.2.1:8080")

    assert "warning" == checks["token"]["status"]
    assert "https://" in checks["token"]["advice"]


def test_a_store_behind_a_server_that_is_away(
    found: Callable[..., dict[str, Check]],
) -> None:
    """The server is well, and says that its store is not."""

    class Away(Reference):
        said: ClassVar = {**Reference.said, "/health": (503, b"")}

    with serving(Away) as url:
        checks = found(url)

    assert "ok" == checks["server"]["status"]
    assert "problem" == checks["health"]["status"]


def test_a_server_like_the_reference_lacks_some(
    found: Callable[..., dict[str, Check]],
) -> None:
    """Each lack is a warning that says what does not work there."""
    with serving(Reference) as url:
        checks = found(url)

    lacks = [c["name"] for c in checks.values() if c["status"] == "warning"]
    assert ["terms", "lists", "batches", "streams"] == lacks
    assert "create and info do not work" in checks["terms"]["text"]
    assert "keeps to the reference" in checks["wire"]["text"]
    assert "calls itself 'tiny'" in checks["server"]["text"]


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_that_differs_is_a_warning(
    found: Callable[..., dict[str, Check]], hours: int
) -> None:
    """It says by how much, and which one decides on deadlines."""

    class Elsewhere(Reference):
        date = datetime.now(UTC) + timedelta(hours=hours)

    with serving(Elsewhere) as url:
        check = found(url)["clock"]

    assert "warning" == check["status"]
    word = "ahead of" if hours > 0 else "behind"
    assert f" s {word} this machine's" in check["text"]
    assert int(check["text"].split()[4].replace(",", "")) in range(3590, 3611)


def test_a_stranger_is_shown_as_one(found: Callable[..., dict[str, Check]]) -> None:
    """What it says is escaped, and the advice is to look at the URL."""

    class Stranger(Reference):
        said: ClassVar = {"/promise/peek": (200, b"\x1b[2Jhello\xff\xe2\x80\xae")}
        kind = "text/plain"

    with serving(Stranger) as url:
        checks = found(url)

    assert "problem" == checks["wire"]["status"]
    assert "does not speak the wire of promises" in checks["wire"]["text"]
    assert r"\x1b[2Jhello" in checks["wire"]["text"]
    assert "\x1b" not in json.dumps(checks, ensure_ascii=False)
    assert "check the host, port and path" in checks["wire"]["advice"]


def test_streams_that_are_held_back_are_a_warning(
    found: Callable[..., dict[str, Check]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy that sends nothing before the end is named, with what to set there."""
    monkeypatch.setattr(_checks, "_STREAM_SECONDS", 0.2)

    class Buffering(Reference):
        def do_POST(self) -> None:
            if self.path == "/watch":
                self.rfile.read(1 << 20)  # Until the client goes away.
            else:
                super().do_POST()

    with serving(Buffering) as url:
        check = found(url)["streams"]

    assert "warning" == check["status"]
    assert "a proxy on the way holds it back" in check["text"]
    assert "proxy_buffering off" in check["advice"]


def test_who_says_nothing_is_not_waited_for(
    found: Callable[..., dict[str, Check]],
    silent: str,
    closed: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Takes connections and is silent; takes none; speaks no HTTP."""
    monkeypatch.setattr(_checks, "_SECONDS", 0.2)
    mute = found(f"http://{silent}")["server"]
    away = found(f"http://{closed}")["server"]

    class Greeting(Reference):
        def handle(self) -> None:
            self.wfile.write(b"220 mail.example.org ESMTP\r\n")

    with serving(Greeting) as url:
        monkeypatch.undo()
        mail = found(url)["server"]

    assert "says nothing in 0.2 s" in mute["text"]
    assert "connection refused" in away["text"]
    assert "is `dp serve` or Restate running there?" == away["advice"]
    assert "220 mail.example.org" in mail["text"]
    assert {"problem"} == {check["status"] for check in (mute, away, mail)}


@pytest.mark.parametrize("date", [None, "yesterday"])
def test_a_server_that_does_not_say_the_time_is_not_asked_for_it(
    found: Callable[..., dict[str, Check]], date: str | None
) -> None:
    """Nothing is said of its clock, and everything else is."""

    class Undated(Reference):
        def send_header(self, keyword: str, value: str) -> None:
            if keyword != "Date":
                super().send_header(keyword, value)
            elif date is not None:
                super().send_header(keyword, date)

    with serving(Undated) as url:
        checks = found(url.replace("127.0.0.1", "localhost"))

    assert "clock" not in checks
    assert "ok" == checks["wire"]["status"]


def test_a_peek_that_is_not_answered_is_a_problem(
    found: Callable[..., dict[str, Check]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody is there, and does not say in time how a promise is."""

    class Slow(Reference):
        def do_POST(self) -> None:
            if self.path == "/promise/peek":
                self.rfile.read(1 << 20)  # Until the client goes away.
            else:
                super().do_POST()

        do_GET = Reference.do_POST  # noqa: N815 - the name of the base class

    monkeypatch.setattr(_checks, "_SECONDS", 0.3)
    with serving(Slow) as url:
        check = found(url)["wire"]

    assert "problem" == check["status"]
    assert "does not say in 0.3 s how a promise is" in check["text"]


@pytest.mark.parametrize(
    ("path", "name", "said"),
    [
        ("/batch", "batches", "not an answer to a batch of calls"),
        ("/watch", "streams", "not an event stream"),
    ],
)
def test_an_answer_of_another_kind_is_a_problem(
    found: Callable[..., dict[str, Check]], path: str, name: str, said: str
) -> None:
    """It is not taken for a server that lacks that endpoint, which would say so."""

    class Odd(Reference):
        said: ClassVar = {**Reference.said, path: (500, b'{"message": "no"}')}

    with serving(Odd) as url:
        check = found(url)[name]

    assert "problem" == check["status"]
    assert said in check["text"]
