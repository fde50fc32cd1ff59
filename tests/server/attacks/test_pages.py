"""Pages of other origins in a real browser: nothing they try touches a promise."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest

from support.server.attackers import Victim, victim

CHROMIUM: Final = next(
    filter(None, map(shutil.which, ("chromium", "chromium-headless-shell"))), None
)
if CHROMIUM is None:
    MISSING = "no chromium here: apt-get install chromium"
    if "CI" in os.environ:
        pytest.fail(MISSING, pytrace=False)
    pytest.skip(MISSING, allow_module_level=True)

from playwright.sync_api import Page, sync_playwright  # noqa: E402 - after the skip

FOREIGN: Final = ("evil.test", "rebound.test", "app.test")
"""Names that lead to this machine, as after a rebinding."""


BROWSER_CHECKS: Final = (
    "LocalNetworkAccessChecks",
    "BlockInsecurePrivateNetworkRequests",
)
"""Checks of newer browsers, off: the server is to be what stops pages."""


class Quiet(http.server.BaseHTTPRequestHandler):
    """A web site with an empty page."""

    def do_GET(self) -> None:
        """Answer every path."""
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>page</title><body></body>")

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def site() -> Iterator[int]:
    """Serve the page; yield the port."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    """A browser for which foreign names lead here."""
    rules = ", ".join(f"MAP {name} 127.0.0.1" for name in FOREIGN)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--disable-background-networking",
                f"--host-resolver-rules={rules}",
                f"--disable-features={','.join(BROWSER_CHECKS)}",
            ],
        )
        page = browser.new_page()
        yield page
        browser.close()


FETCH: Final = """
async ([url, options]) => {
  try {
    const answer = await fetch(url, options);
    return answer.type + " " + answer.status + " " + (await answer.text());
  } catch (error) { return "refused"; }
}
"""
FORM: Final = """
([url, type, text]) => new Promise((done) => {
  const frame = document.createElement("iframe");
  frame.name = "sink" + document.forms.length;
  document.body.append(frame);
  const form = document.createElement("form");
  Object.assign(form, {method: "post", action: url, enctype: type, target: frame.name});
  const field = document.createElement("input");
  Object.assign(field, {name: text, value: ""});
  form.append(field);
  document.body.append(form);
  frame.onload = done;
  form.submit();
})
"""
SOCKET: Final = """
(url) => new Promise((done) => {
  const socket = new WebSocket(url);
  socket.onopen = () => done("open");
  socket.onclose = () => done("closed");
})
"""
LINKS: Final = """
(url) => Promise.race([
 new Promise((done) => setTimeout(done, 60000, "held")),
 Promise.all(["img", "script", "link", "iframe"].map((tag) => new Promise((done) => {
  const element = document.createElement(tag);
  element.onload = element.onerror = done;
  if (tag === "link") { element.rel = "stylesheet"; element.href = url; }
  else { element.src = url; }
  document.body.append(element);
 }))).then(() => "ended")])
"""


def attack(page: Page, server: Victim, url: str) -> list[str]:
    """Try everything that a page can; return what it could read."""
    resolve = f"{url}/promises/touched/resolve"
    inner = server.request("/promises/touched/resolve", b"1").decode()
    smuggled = ("\r\nUpgrade: x" * 40 + "\r\n" + inner) * 800
    plain = {"mode": "no-cors", "body": "1"}
    tries = (
        plain,
        {**plain, "headers": {"content-type": "text/plain"}},
        {**plain, "credentials": "include"},
        {**plain, "body": smuggled[:600_000]},
        {**plain, "body": smuggled[1:600_000], "keepalive": False},
        {"headers": {"content-type": "application/json"}, "body": "1"},
        {"headers": {"content-type": "text/plain"}, "body": "1"},
        {"method": "GET"},
        {"method": "PUT"},
        {"method": "DELETE"},
    )
    read = [page.evaluate(FETCH, [resolve, {"method": "POST", **how}]) for how in tries]
    batch = f"{url}/batch"
    calls = json.dumps(
        [
            {"op": "resolve", "promiseId": "touched", "value": 1},
            {"op": "peek", "promiseId": "secret"},
        ]
    )
    for how in tries[:3] + tries[5:7]:
        post = {"method": "POST", **how, "body": calls}
        read.append(page.evaluate(FETCH, [batch, post]))
    page.evaluate(FORM, [batch, "text/plain", calls])
    peek = f"{url}/promises/secret/peek"
    read.append(page.evaluate(FETCH, [peek, {"method": "POST"}]))
    for kind in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
    ):
        page.evaluate(FORM, [resolve, kind, "1"])
        page.evaluate(FORM, [resolve, kind, smuggled[:600_000]])
    for link in (resolve, f"{url}/watch?promiseId=pending"):
        assert "ended" == page.evaluate(LINKS, link)
    assert "closed" == page.evaluate(SOCKET, resolve.replace("http", "ws", 1))
    page.evaluate(f"navigator.sendBeacon({json.dumps(resolve)}, '1')")
    return read


@pytest.mark.parametrize("where", ["evil.test", "rebound", "localhost", "127.0.0.1"])
def test_a_page_of_another_origin_touches_nothing(page: Page, where: str) -> None:
    """Forms, fetch, WebSockets, links and 600 KB of smuggling: no promise changes."""
    with victim() as server, site() as port:
        own = f"http://127.0.0.1:{server.port}"
        assert 200 == server.ask("/promises/secret/resolve", b'"secret"')[0]
        if where == "rebound":
            # The page came from a name that leads to the server itself now.
            page.goto(f"http://rebound.test:{port}")
            read = attack(page, server, f"http://rebound.test:{server.port}")
        else:
            page.goto(f"http://{where}:{port}")
            read = attack(page, server, own)
            read += attack(page, server, f"http://localhost:{server.port}")

        assert not [text for text in read if "secret" in text]
        assert (200, b"null") == server.ask("/promises/touched/peek")
        assert (200, b'{"value":"secret"}') == server.ask("/promises/secret/peek")
        log = server.stop()

    assert "--allow-origin" in log or "--allow-host" in log


ASK: Final = """
async ([url, token]) => {
  const headers = {"content-type": "application/json", "prefer": "wait=0",
                   ...(token && {"authorization": "Bearer " + token})};
  const post = (path, body) => fetch(url + path, {method: "POST", headers, body});
  await (await post("/promises/page/resolve", '"from a page"')).text();
  const peeked = await (await post("/promises/page/peek")).json();
  const waited = await post("/promises/pending/await");
  return [peeked, waited.status, waited.headers.get("preference-applied")];
}
"""


@pytest.mark.parametrize("token", ["", "t" * 40])
def test_a_page_that_was_allowed_can_ask(page: Page, token: str) -> None:
    """Its preflights are answered, its requests served, and it reads the answers."""
    env = {"DP_TOKEN": token} if token else {}
    with site() as port:
        origin = f"http://app.test:{port}"
        with victim("--allow-origin", origin, env=env) as server:
            own = f"http://127.0.0.1:{server.port}"
            page.goto(origin)
            answered = page.evaluate(ASK, [own, token])
            page.goto(f"http://evil.test:{port}")
            refused = page.evaluate(
                FETCH,
                [
                    f"{own}/promises/page/dispose",
                    {"method": "POST", "headers": {"authorization": f"Bearer {token}"}},
                ],
            )

    assert [{"value": "from a page"}, 202, "wait=0"] == answered
    assert "refused" == refused
