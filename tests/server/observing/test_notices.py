"""Lines of the log: which there are, that nobody can forge one, or fill it."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from anyio import to_thread

from dp_core import BackendUnavailableError, Resolved, connect
from dp_core.server import Settings, app
from dp_core.server._observing._notices import MAX_CAUSES, SECONDS, Notices
from support.server.asgi_driver import Request, Spy, ask

X = {"promiseId": "x"}
TOKEN = "t" * 40


class Clock:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


REFUSALS = {
    "a wrong host": ({"host": b"evil.test"}, 421, "'evil.test'", "--allow-host"),
    "a wrong port": ({"host": b"localhost:1"}, 421, "'localhost:1'", "--allow-host"),
    "a wrong origin": (
        {"origin": b"http://evil.test"},
        403,
        "http://evil.test",
        "--allow-origin",
    ),
    "another site": ({"sec-fetch-site": b"cross-site"}, 403, "pages", "--allow-origin"),
    "no token": ({"authorization": b""}, 401, "no token", "DP_TOKEN"),
    "a wrong token": (
        {"authorization": b"Bearer guess"},
        401,
        "another token",
        "--token-file",
    ),
}


def refused(headers: dict[str, bytes], source: str = "192.0.2.7") -> Request:
    """Return a request with these headers, from a source."""
    request = Request("/promises/x/peek")
    good = {
        "host": b"localhost",
        "content-type": b"application/json",
        "authorization": f"Bearer {TOKEN}".encode(),
        **headers,
    }
    request._scope["headers"] = [(name.encode(), text) for name, text in good.items()]
    request._scope["client"] = (source, 1)
    return request


@pytest.mark.parametrize("case", REFUSALS)
async def test_a_refusal_leaves_one_line(
    case: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It says who was refused, why, and which option would allow it; once a minute."""
    headers, status, why, option = REFUSALS[case]
    guarded = app(connect("memory:").backend, Settings(token=TOKEN))
    for _ in range(50):
        request = refused(headers)
        await request.run(guarded)

        assert status == request.status
    [record] = caplog.records

    assert logging.WARNING == record.levelno
    for part in ("192.0.2.7", str(status), why, option):
        assert part in record.getMessage()
    assert "guess" not in record.getMessage()
    guarded.stop()
    assert "49 more like this" in caplog.records[-1].getMessage()


async def test_each_source_has_its_line(caplog: pytest.LogCaptureFixture) -> None:
    """One who is refused again and again does not hide the others."""
    guarded = app(connect("memory:").backend, Settings(token=TOKEN))
    for source in ("192.0.2.1", "192.0.2.1", "192.0.2.2", "2001:db8::3"):
        await refused({"host": b"evil.test"}, source).run(guarded)

    assert 3 == len(caplog.records)


@pytest.mark.parametrize("name", ["host", "origin"])
async def test_a_refusal_cannot_forge_a_line(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever a header holds, it is one line, and drives no terminal."""
    guarded = app(connect("memory:").backend)
    for text in (
        b"a\nERROR forged",
        b"\x1b[2Jx",
        b"x" * 100_000,
        b"\xff\x85\xe2\x80\xae",
    ):
        await refused({name: text}, text.decode("latin-1")).run(guarded)

    assert caplog.records
    for record in caplog.records:
        assert record.getMessage().isprintable()
        assert len(record.getMessage()) < 500


async def test_one_cause_is_one_line_with_a_count(
    request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    """A store that is gone under a thousand clients fills no log."""
    spy = Spy(request.node.nodeid)
    promises = app(spy)
    spy.fail = BackendUnavailableError("/secret is gone")
    for number in range(1000):
        answer = await ask(promises, f"/promises/{number}/peek")

        assert 503 == answer.status
    assert 1 == len(caplog.records)
    promises.stop()

    assert "999 more like this in a minute: peek of promise '999'" in caplog.text
    assert "/secret is gone" in caplog.text


def test_a_minute_has_two_lines_of_a_cause_at_most(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The first is told at once, the rest as one when the minute is over."""
    clock = Clock()
    notices = Notices(clock)
    for second in range(600):
        clock.now = second
        notices.tell(("cause",), lambda: "line")
    counts = [record.getMessage().split()[0] for record in caplog.records]

    assert ["line", "59", *["60"] * 8] == counts


def test_causes_are_bounded() -> None:
    """Who makes up sources fills neither memory nor hides what comes after."""
    notices = Notices(Clock())
    logging.getLogger("dp_core.server").disabled = True
    try:
        for number in range(MAX_CAUSES * 3):
            notices.tell((number,), lambda: "line")
    finally:
        logging.getLogger("dp_core.server").disabled = False

    assert MAX_CAUSES == len(notices._told)
    assert SECONDS == next(iter(notices._told.values())).until


@pytest.mark.parametrize("accepted", [b"application/json", b"text/html"])
async def test_what_cannot_be_read_is_told_in_the_log(
    accepted: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Lists and the board refer to the log: some are named there, once a minute."""
    backend = connect(f"file:{tmp_path}/promises").backend
    for number in range(25):
        await backend.settle(f"p{number}", Resolved(b"1"))
    await to_thread.run_sync(_damage, tmp_path)
    served = app(backend)
    for _ in range(3):
        path = "/" if accepted == b"text/html" else "/promises"
        request = Request(path, method="GET", headers=[(b"accept", accepted)])
        await request.run(served)

        assert 200 == request.status
    lines = [record.getMessage() for record in caplog.records]
    await backend.aclose()

    assert 21 == len(lines)
    assert all("is damaged (0 bytes" in line for line in lines[:20])
    assert "5 more promises cannot be read" == lines[20]


def _damage(path: Path) -> None:
    for record in path.glob("promises/p/*/*.json"):
        record.write_bytes(b"")
