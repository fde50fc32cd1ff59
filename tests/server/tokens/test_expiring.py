"""What waits by a signed token ends with it: nobody is told more than it allows."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import anyio
import pytest

import dp_core as dp
from dp_core._access import EVERYTHING, write_access
from dp_core.server import App
from dp_core.server._waiting import _holding
from support.server.asgi_driver import Request
from support.server.people import SECRET, served
from support.server_process import Server, running

HOUR = timedelta(hours=1)
FORMS = {
    "await": ("/promise/await", b'{"promiseId":"x"}', ""),
    "bounded": ("/promises/x/await", b"", ""),
    "watch": ("/watch", b'{"promiseIds":["x"]}', ""),
    "board": ("/board/changes", b"", "seen="),
}


def token(after: timedelta) -> str:
    """Return a token of all rights that is over after a time."""
    return write_access(EVERYTHING, datetime.now(UTC) + after, [SECRET])


def asking(form: str, after: timedelta) -> Request:
    """Return a request that waits, by a token that is over after a time."""
    path, body, query = FORMS[form]
    sent = {
        "board": (b"cookie", b"dp-token=" + token(after).encode()),
    }.get(form, (b"authorization", b"Bearer " + token(after).encode()))
    headers = [sent, (b"accept", b"text/html")]
    if form == "bounded":
        headers.append((b"prefer", b"wait=86400"))
    method = "GET" if form == "board" else "POST"
    return Request(path, body, method=method, query=query, headers=headers)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Return the clock of those who are held; its `ahead` is added to all times."""
    clock = SimpleNamespace(ahead=0.0)
    clock.time = lambda: time.time() + clock.ahead
    monkeypatch.setattr(_holding, "time", clock)
    monkeypatch.setattr(_holding, "_LOOK_SECONDS", 0.001)
    return clock


async def held(app: App, number: int) -> None:
    """Return once so many requests are held."""
    with anyio.fail_after(60):
        while number != app._serving.places.waiters:  # noqa: ASYNC110 - nobody says
            await anyio.sleep(0.001)


@pytest.mark.parametrize("form", FORMS)
async def test_a_wait_ends_with_its_token(form: str, clock: SimpleNamespace) -> None:
    """A wait is answered 401, and a stream ends; by a longer token others go on."""
    app = served()
    over, goes_on = asking(form, HOUR), asking(form, 3 * HOUR)
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            for each in (over, goes_on):
                tasks.start_soon(each.run, app)
            await held(app, 2)
            if form in {"watch", "board"}:
                await over.until(b":")
            clock.ahead = 2 * HOUR.total_seconds()
            await over.ended.wait()

            assert 1 == app._serving.places.waiters
            assert not goes_on.ended.is_set()
            tasks.cancel_scope.cancel()

    if form in {"watch", "board"}:
        assert (200, True) == (over.status, over.is_whole)
    else:
        assert 401 == over.status
        assert "this token is over" in json.loads(over.body)["message"]


async def test_a_token_without_an_end_is_held_on(clock: SimpleNamespace) -> None:
    """The server's own token says nothing of an end."""
    app = served()
    headers = [(b"authorization", b"Bearer " + b"m" * 40)]
    request = Request("/promise/await", b'{"promiseId":"x"}', headers=headers)
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(request.run, app)
            await held(app, 1)
            clock.ahead = 1e9
            await anyio.wait_all_tasks_blocked()

            assert not request.ended.is_set()
            tasks.cancel_scope.cancel()


def put(file: Path, text: str) -> None:
    """Replace the token in a file."""
    new = file.with_suffix(".new")
    new.write_text(text)
    new.chmod(0o600)
    new.replace(file)


@pytest.mark.slow
def test_a_client_goes_on_by_its_new_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One whose file has another token by then asks again, and has its outcome."""
    file, log = tmp_path / "token", tmp_path / "log"
    monkeypatch.setenv("DP_TOKEN_FILE", str(file))
    bearer = {"Authorization": f"Bearer {token(HOUR)}"}

    async def until(is_so: Callable[[], bool]) -> None:
        while not await anyio.to_thread.run_sync(is_so):  # noqa: ASYNC110 - a process
            await anyio.sleep(0.01)

    async def main(server: Server) -> None:
        def waits() -> bool:
            metrics = server.ask("/metrics", headers=bearer, method="GET")
            return b"\ndp_waiters 1" in metrics.body

        values = []

        async def wait() -> None:
            values.append(await promises.promise("x").get())

        url = f"http://127.0.0.1:{server.port}"
        put(file, token(timedelta(seconds=1)))
        with anyio.fail_after(60):
            async with dp.connect(url) as promises, anyio.create_task_group() as tasks:
                tasks.start_soon(wait)
                await until(waits)
                put(file, token(HOUR))
                await until(lambda: '"status": 401' in log.read_text())
                await promises.promise("x").resolve(1)
        assert [1] == values

    with running(
        f"file:{tmp_path}/promises", secrets=[SECRET], access_log=str(log)
    ) as server:
        anyio.run(main, server)
