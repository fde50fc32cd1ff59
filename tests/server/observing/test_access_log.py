"""The access log: a line a request, whatever is asked for and wherever it goes."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any, Final
from uuid import uuid4

import pytest

from dp_core import BackendUnavailableError, connect
from dp_core._access import Access, write_access
from dp_core.server import App, Settings, app
from dp_core.server._observing import _access_log
from support.server.asgi_driver import Request, ask
from support.server_process import Server

SECRET: Final = "s" * 32
TOKEN: Final = write_access(
    Access(frozenset({"read"}), ids=("*",), name="alice\n\x1b[31m"),
    datetime(2999, 1, 1, tzinfo=UTC),
    [SECRET],
)
HOSTILE: Final = (
    b"/promises/a\nFORGED/peek",
    b"/promises/\x1b[2J\r/peek",
    "/promises/\u2028\u202e\x85/peek".encode(),
    b"/promises/\xff\xfe/peek",
    b"/promises/%0AFORGED%1b/peek",
    b"/promises/" + b"x" * 8192 + b"/peek",
    b'/promises/","status":200,"x":"/peek',
)

PART: Final = '{"time": "2026-'


def holds(log: Path, text: str) -> bool:
    """Tell whether a text is in a log."""
    return text in log.read_text()


def written(log: Path) -> list[str]:
    """Return the lines of a log, whole or not."""
    return log.read_text().splitlines()


def rotated(log: Path) -> Path:
    """Rename a log once its first line is written; return its new path."""
    while not log.read_bytes().endswith(b"\n"):
        pass
    return log.rename(log.with_suffix(".1"))


def torn(log: Path) -> None:
    """Let a log end in a part of a line."""
    log.write_text(PART)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Where the log is."""
    return tmp_path / "access.log"


def logged(log: Path, **settings: Any) -> App:
    """Return an app with an access log."""
    backend = connect(f"memory:{uuid4()}").backend
    return app(backend, Settings(access_log=str(log), **settings))


def lines(promises: App, log: Path) -> list[dict[str, Any]]:
    """Return the lines of a log, after the app's end."""
    promises.close()
    text = log.read_bytes()
    assert text.isascii()
    assert not set(text) & {*range(32)} - {10}
    return [json.loads(line) for line in text.splitlines()]


async def test_a_line_says_what_was_asked_and_answered(log: Path) -> None:
    """Method, path, status, bytes, seconds, client and whom the token names."""
    promises = logged(log, secrets=(SECRET,))
    headers = [(b"authorization", f"Bearer {TOKEN}".encode())]
    await ask(promises, "/promise/peek", {"promiseId": "a"}, headers=headers)
    await ask(promises, "/p/a", method="GET", query=f"token={TOKEN}")
    await ask(promises, "/promise/peek", {"promiseId": "a"})
    first, page, refused = lines(promises, log)

    moment = datetime.fromisoformat(first.pop("time"))
    assert abs((datetime.now(UTC) - moment).total_seconds()) < 60
    assert 0 <= first.pop("seconds") < 60
    expected = {
        "client": "127.0.0.1",
        "sub": "alice\n\x1b[31m",
        "method": "POST",
        "path": "/promise/peek",
        "status": 200,
        "bytes": 4,
    }
    assert expected == first
    assert "/p/a" == page["path"]
    assert (401, None) == (refused["status"], refused["sub"])
    assert not holds(log, TOKEN)
    assert not holds(log, "token")


@pytest.mark.parametrize("path", HOSTILE, ids=lambda path: repr(path)[:24])
async def test_no_path_makes_two_lines_or_drives_a_terminal(
    log: Path, path: bytes
) -> None:
    """It is escaped, and cut where it is long."""
    promises = logged(log)
    request = Request("")
    request._scope["raw_path"] = path + b"?token=" + b"t" * 40
    await request.run(promises)
    [line] = lines(promises, log)

    assert line["status"] == request.status
    assert line["path"].startswith("/promises/")
    assert len(line["path"]) < 2100
    assert not holds(log, "t" * 40)


async def test_a_log_that_was_renamed_is_made_anew(log: Path) -> None:
    """As logrotate does it, without a signal: no line is lost."""
    promises = logged(log)
    await ask(promises, "/promise/peek", {"promiseId": "a"})
    old = rotated(log)
    await ask(promises, "/promise/peek", {"promiseId": "a"})
    after = lines(promises, log)

    assert 1 == len(after)
    assert holds(old, '"status": 200')


async def test_lines_are_lost_only_while_they_cannot_be_written(log: Path) -> None:
    """The disk went away and came back: requests went on, and lines do again."""
    where = log.parent / "disk"
    where.mkdir()
    promises = logged(where / "log")
    (where / "log").rename(log)
    where.rename(away := log.parent / "away")
    await ask(promises, "/promise/peek", {"promiseId": "a"})
    while promises._log is None or promises._log._lines:
        pass
    away.rename(where)
    await ask(promises, "/promise/resolve", {"promiseId": "a"})

    found = [line for line in lines(promises, where / "log") if "path" in line]
    assert "/promise/resolve" == found[-1]["path"]


async def test_lines_for_which_there_is_no_room_are_counted(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is slow holds up no request, and how many are missing is said."""
    monkeypatch.setattr(_access_log, "MOST_LINES", 2)
    promises = logged(log)
    opened = promises._log
    assert opened is not None
    goes_on, write = Event(), opened._write

    def slow(text: bytes) -> int:
        assert goes_on.wait(60)
        return write(text)

    monkeypatch.setattr(opened, "_write", slow)
    await ask(promises, "/promise/peek", {"promiseId": "first"})
    while opened._lines:
        pass
    for number in range(5):
        await ask(promises, "/promise/peek", {"promiseId": f"{number}"})
    goes_on.set()
    found = lines(promises, log)
    await ask(promises, "/promise/peek", {"promiseId": "after the end"})

    assert [200] * 3 == [line["status"] for line in found if "status" in line]
    assert [3] == [line["dropped"] for line in found if "dropped" in line]
    assert found == lines(promises, log)


async def test_a_full_disk_costs_the_lines_for_which_there_is_no_room(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part of a line spoils no other one, and how many are missing is said."""
    monkeypatch.setattr(_access_log, "_IDLE_SECONDS", 0.01)
    promises = logged(log)
    opened = promises._log
    assert opened is not None
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        for _ in range(2):
            for _ in range(20):
                await ask(promises, "/promise/peek", {"promiseId": "a"})
            with opened._changed:
                opened._changed.wait_for(lambda: not opened._is_running)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    monkeypatch.undo()
    await ask(promises, "/promise/resolve", {"promiseId": "a"})
    promises.close()
    text = written(log)
    found = [json.loads(line) for line in text if line.endswith("}")]

    assert 1000 <= len("\n".join(text[:-2]))
    assert len(text) - 1 == len(found)
    assert "/promise/resolve" == found[-2]["path"]
    assert {"dropped": 40 - (len(found) - 2)} == found[-1]


async def test_a_log_that_ends_in_a_part_of_a_line_is_gone_on_with(log: Path) -> None:
    """What a server left that died on a full disk spoils no line of the next one."""
    torn(log)
    promises = logged(log)
    await ask(promises, "/health", method="GET")
    promises.close()

    part, line = written(log)
    assert part == PART
    assert "/health" == json.loads(line)["path"]


async def test_without_threads_requests_go_on_and_lines_come_later(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the kernel refuses a thread, lines wait until it grants one."""
    promises = logged(log)

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as refused:
        refused.setattr(threading.Thread, "start", refuse)
        answer = await ask(promises, "/first", method="GET")
    await ask(promises, "/second", method="GET")

    assert 405 == answer.status
    assert ["/first", "/second"] == [line["path"] for line in lines(promises, log)]


def test_a_pipe_that_nobody_reads_is_told_at_the_start(log: Path) -> None:
    """Nobody would know why the server does not start."""
    os.mkfifo(log)
    with pytest.raises(BackendUnavailableError, match="cannot write the access log"):
        logged(log)


async def test_a_pipe_that_somebody_reads_gets_lines(log: Path) -> None:
    """As a program does that sends them on."""
    os.mkfifo(log)
    reading = os.open(log, os.O_RDONLY | os.O_NONBLOCK)
    promises = logged(log)
    await ask(promises, "/promise/peek", {"promiseId": "a"})
    promises.close()
    text = os.read(reading, 4096)
    os.close(reading)

    assert 200 == json.loads(text)["status"]


async def test_a_request_whose_client_left_is_told(log: Path) -> None:
    """Without a status: there was no answer."""
    promises = logged(log)
    request = Request("/promise/await", b'{"promiseId":"a"}')
    request.disconnect()
    await request.run(promises)

    assert [None] == [line["status"] for line in lines(promises, log)]


def test_a_log_that_cannot_be_written_is_told_at_the_start(tmp_path: Path) -> None:
    """Before anything is served, and with what to do."""
    with pytest.raises(BackendUnavailableError, match="cannot write the access log"):
        logged(tmp_path / "nowhere" / "log")


@pytest.mark.slow
@pytest.mark.parametrize("stderr", ["closed", "unread", "read"])
def test_stderr_may_be_closed_or_full(stderr: str, tmp_path: Path) -> None:
    """The server goes on, and ends when it is told to; lines go there otherwise."""
    command = [sys.executable, "-m", "dp_core", "serve", "--port=0", "--access-log"]
    command += ["--url=memory:"]
    reading, writing = os.pipe()
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=writing, text=True
    ) as process:
        os.close(writing)
        assert process.stdout is not None
        port = int(process.stdout.readline().rpartition(":")[2])
        server = Server(process, port, "memory:")
        if stderr == "closed":
            os.close(reading)
        # A pipe has room for 64 KiB.
        path = f"/promises/{'x' * 1000}/peek"
        for _ in range(100):
            assert 200 == server.ask(path).status
            if stderr == "read":
                line = json.loads(os.read(reading, 4096))
                assert path == line["path"]
        process.send_signal(signal.SIGTERM)
        assert 0 == process.wait(60)
    if stderr != "closed":
        os.close(reading)
