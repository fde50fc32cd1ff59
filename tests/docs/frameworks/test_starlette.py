"""The service mounted in an app: its URL, its token, and how the app ends."""

from __future__ import annotations

import signal
from contextlib import AbstractContextManager
from pathlib import Path
from subprocess import Popen
from typing import Final

import pytest

from support.docs.programs import FRAMEWORKS, python, running, served, until
from support.docs.walkthrough import port_of
from support.server_process import JSON, Server, read

TOKEN: Final = "t" * 40
PROGRAM: Final = FRAMEWORKS / "starlette_mount.py"
DP: Final = ("-m", "dp_core")


def app(place: Path, port: int | str = 0) -> AbstractContextManager[Popen[str]]:
    """Run the app as its docstring says."""
    return running(PROGRAM, cwd=place, DP_TOKEN=TOKEN, PORT=str(port))


def dp(server: Server, prefix: str, *words: str, cwd: Path) -> tuple[int, str]:
    """Run dp on the promises of an app."""
    url = f"http://localhost:{server.port}{prefix}"
    return python(*DP, *words, "--url", url, cwd=cwd, DP_TOKEN=TOKEN)


def test_its_url_is_the_apps_and_the_mounts(tmp_path: Path) -> None:
    """Another program asks below the mount; the app sees the same promises."""
    with app(tmp_path) as process:
        server = Server(process, port_of(process), "")
        created = dp(server, "/promises", "create", "a/b ü?", cwd=tmp_path)
        pending = server.ask("/", method="GET").json()
        settled = dp(server, "/promises/", "resolve", "a/b ü?", "hi", cwd=tmp_path)
        outside = dp(server, "", "peek", "a/b ü?", cwd=tmp_path)
        stranger = server.ask("/promises/promises/x/peek")

    assert (0, "hi\n") == settled
    assert 0 == created[0]
    assert ["a/b ü?"] == pending
    assert 2 == outside[0]
    assert 401 == stranger.status


def test_its_url_behind_a_proxy_that_cuts_a_prefix(tmp_path: Path) -> None:
    """An app that is told its root path has its promises below the mount as before."""
    words = ("uvicorn", "starlette_mount:app", "--port", "0", "--root-path", "/api")
    with served(*words, cwd=tmp_path, DP_TOKEN=TOKEN) as server:
        assert (0, "hi\n") == dp(
            server, "/promises", "resolve", "x", "hi", cwd=tmp_path
        )


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_at_once_though_somebody_waits(
    tmp_path: Path, stop: signal.Signals
) -> None:
    """Whoever waits is told to ask again; nothing of that is an error."""
    with app(tmp_path) as process:
        server = Server(process, port_of(process), "")
        headers = {**JSON, "Authorization": f"Bearer {TOKEN}"}
        waiting = server.connect()
        waiting.request("POST", "/promises/promises/x/await", "", headers)
        # Asked later, on a connection that was made later: the other one is heard.
        server.ask("/promises/promises/x/peek", "", headers)
        process.send_signal(stop)
        told = read(waiting)
        said = process.communicate()[0]

    assert (503, "1") == (told.status, told.headers["retry-after"])
    assert "Application shutdown complete" in said
    assert [] == [word for word in ("ERROR", "Traceback") if word in said]


def test_a_program_that_waits_outlives_the_app(tmp_path: Path) -> None:
    """It asks again, and gets the outcome from the next process of the app."""
    with app(tmp_path) as process:
        server = Server(process, port_of(process), "")
        url = f"http://localhost:{server.port}/promises"
        get = (*DP, "get", "order-17", "--url", url)
        with running(*get, cwd=tmp_path, DP_TOKEN=TOKEN) as waiter:
            assert process.stdout is not None
            assert "/promises/promise/" in process.stdout.readline()
            process.kill()
            process.wait()
            with app(tmp_path, server.port) as other:
                port_of(other)
                assert (0, "hi\n") == dp(
                    server, "/promises", "resolve", "order-17", "hi", cwd=tmp_path
                )
                assert "hi" == waiter.communicate()[0].splitlines()[-1]


def test_deadlines_settle_though_nobody_asks(tmp_path: Path) -> None:
    """What is over gets its outcome in the store by the app alone."""
    with app(tmp_path) as process:
        server = Server(process, port_of(process), "")
        create = ("create", "x", "--deadline", "0.5s", "--otherwise-error", "late")
        assert 0 == dp(server, "/promises", *create, cwd=tmp_path)[0]

        # Whoever asks settles it, so the test does not ask.
        until(
            lambda: any(
                '"rejected": "late"' in path.read_text()
                for path in tmp_path.glob("promises/p/*/*.json")
            )
        )
