"""The service mounted in an app: its URL, its token, and how the app ends."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from subprocess import Popen
from typing import Final
from urllib.parse import urlsplit

import pytest

from support.docs.programs import FRAMEWORKS, python, running, served, until
from support.docs.walkthrough import port_of
from support.server.browser import opened, require_chromium
from support.server.proxies import behind
from support.server_process import JSON, Server, read

TOKEN: Final = "t" * 40
BEHIND: Final = ("uvicorn", "starlette_mount:app", "--port", "0", "--root-path", "/api")
CUTS_A_PREFIX: Final = """
location /api/ {
  proxy_pass http://back/;
  proxy_http_version 1.1;
  proxy_set_header Host $http_host;
  proxy_set_header Connection "";
}
"""
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
    with served(*BEHIND, cwd=tmp_path, DP_TOKEN=TOKEN) as server:
        assert (0, "hi\n") == dp(
            server, "/promises", "resolve", "x", "hi", cwd=tmp_path
        )


@contextmanager
def mounted(place: Path) -> Iterator[str]:
    """Run the app; yield the URL of its promises."""
    with app(place) as process:
        yield f"http://localhost:{port_of(process)}/promises"


@contextmanager
def mounted_behind_a_prefix(place: Path) -> Iterator[str]:
    """Run the app behind a real nginx that takes a prefix away; yield that URL."""
    (folder := place / "nginx").mkdir()
    with (
        served(*BEHIND, cwd=place, DP_TOKEN=TOKEN, ALLOWED_HOSTS="localhost") as server,
        behind("nginx", server.port, folder, options=CUTS_A_PREFIX) as url,
    ):
        yield f"{url.replace('127.0.0.1', 'localhost')}/api/promises"


@pytest.mark.slow
@pytest.mark.system
@pytest.mark.parametrize("place", [mounted, mounted_behind_a_prefix])
def test_its_pages_are_below_the_mount(
    tmp_path: Path, place: Callable[[Path], AbstractContextManager[str]]
) -> None:
    """In a browser: token form, live board, a new promise, its answer, and no error."""
    require_chromium()
    with place(tmp_path) as url, opened() as browser:
        context = browser.new_context()
        page = context.new_page()
        wrong: list[str] = []
        page.on("console", lambda said: wrong.append(said.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(url)
        page.get_by_label("Token").fill(TOKEN)
        wrong.clear()  # A browser notes that the form came with status 401.
        page.keyboard.press("Enter")
        page.get_by_text("Live", exact=True).wait_for()
        (cookie,) = context.cookies()
        page.get_by_role("link", name="New promise").click()
        page.get_by_label("Id").fill("order 17 é")
        page.get_by_role("button", name="Make it").click()
        page.get_by_role("heading", name="order 17 é").wait_for()
        other = context.new_page()
        other.goto(f"{url}/")
        other.get_by_text("Live", exact=True).wait_for()
        page.get_by_role("button", name="Yes").click()
        page.get_by_text("Your answer was taken.").wait_for()
        at = page.url
        other.get_by_role("row", name="order 17 é resolved").wait_for()

    assert urlsplit(url).path == cookie["path"]
    assert f"{url}/p/order%2017%20%C3%A9" == at
    assert [] == wrong


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
