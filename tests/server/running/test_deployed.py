"""
The files of deploy/ as they are: a server behind an nginx with TLS, and its unit.

docs/how-to/run-for-a-team.md shows them.
"""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest

import dp_core.sync as dp
from support.paths import ROOT
from support.server.browser import opened, require_chromium
from support.server.people import MASTER, SECRET
from support.server.proxies import free_port, until_open
from support.server_process import running

DEPLOY: Final = ROOT / "deploy"
AROUND: Final = """
daemon off;
user {user};
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{ }}
http {{
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  {site}
}}
"""


def program(name: str) -> str:
    """Return where a program is; skip without it, and fail in CI."""
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if found is None:
        missing = f"no {name}; sh .ci/programs installs it"
        pytest.fail(missing) if "CI" in os.environ else pytest.skip(missing)
    return str(found)


def make_certificate(folder: Path) -> Path:
    """Make a certificate that signs itself, for this machine."""
    subprocess.run(
        [
            *(program("openssl"), "req", "-x509", "-nodes", "-newkey", "ec"),
            *("-pkeyopt", "ec_paramgen_curve:P-256", "-days", "2"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
            *("-keyout", str(folder / "key"), "-out", str(folder / "certificate")),
        ],
        check=True,
        capture_output=True,
    )
    return folder / "certificate"


@contextmanager
def in_front(folder: Path, port: int, upstream: int) -> Iterator[None]:
    """Run nginx with the file of deploy/, but for names, paths, ports and patience."""
    site = (DEPLOY / "nginx.conf").read_text()
    for said, here in {
        "443 ssl": f"127.0.0.1:{port} ssl",
        "server_name promises.example.com": "server_name localhost",
        "/etc/ssl/promises.example.com.pem": f"{folder}/certificate",
        "/etc/ssl/promises.example.com.key": f"{folder}/key",
        "127.0.0.1:8080": f"127.0.0.1:{upstream}",
        "120s": "2s",
    }.items():
        assert said in site
        site = site.replace(said, here)
    config, log = folder / "nginx.conf", folder / "log"
    config.write_text(AROUND.format(user=getpass.getuser(), folder=folder, site=site))
    command = [program("nginx"), "-e", "stderr", "-c", str(config)]
    with log.open("w") as output, subprocess.Popen(command, stderr=output) as process:
        try:
            until_open(port, process, log)
            yield
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Run both; yield the public URL, and the directory of certificate and store."""
    folder = tmp_path_factory.mktemp("deployed")
    make_certificate(folder)
    port = free_port()
    url = f"https://localhost:{port}/dp"
    settings = {"public_url": url, "secrets": [SECRET], "token": MASTER}
    with (
        running(f"file:{folder}/store", **settings) as server,
        in_front(folder, port, server.port),
    ):
        yield url, folder


def test_a_wait_outlives_what_the_proxy_allows(public: tuple[str, Path]) -> None:
    """A client over TLS waits for longer than the proxy does, and is told the value."""
    url, folder = public
    wait = f"import dp_core.sync as dp; print(dp.connect({url!r}).promise('a/b').get())"
    environment = os.environ | {
        "SSL_CERT_FILE": str(folder / "certificate"),
        "DP_TOKEN": MASTER,
    }
    settle = (
        f"import dp_core.sync as dp; p = dp.connect({url!r})\n"
        "try: p.promise('a/b').get(timeout=5)\n"
        "except dp.PromiseTimeoutError: print(p.promise('a/b').resolve(17).value)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", wait], env=environment, stdout=subprocess.PIPE, text=True
    ) as waiting:
        done = subprocess.run(
            [sys.executable, "-c", settle],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ("17\n", "") == (done.stdout, done.stderr)
        assert "17\n" == waiting.communicate(timeout=60)[0]


def test_people_use_board_and_link_over_tls(public: tuple[str, Path]) -> None:
    """In a browser: the token form, the live board, a promise's page, and a link."""
    require_chromium()
    url, folder = public
    # A browser's thread has an event loop, in which this form is refused.
    with dp.connect(f"file:{folder}/store") as promises:
        link = promises.link(
            "approve", expires=timedelta(days=1), base=url, secret=SECRET
        )
        promises.create("approve", data={"choices": ["yes", "no"]})
        promises.create("order")
    with opened() as browser:
        context = browser.new_context(ignore_https_errors=True)
        page = context.new_page()
        page.goto(url)
        page.get_by_label("Token").fill(MASTER)
        page.keyboard.press("Enter")
        page.get_by_text("Live", exact=True).wait_for()
        (cookie,) = context.cookies()
        page.get_by_role("link", name="order").click()
        page.get_by_role("heading", name="order").wait_for()
        at = page.url
        page.goto(link)
        page.get_by_role("button", name="yes").click()
        page.get_by_text("Your answer was taken.").wait_for()

    with dp.connect(f"file:{folder}/store") as promises:
        assert (True, "/dp") == (cookie["secure"], cookie["path"])
        assert f"{url}/p/order" == at
        assert dp.Resolved("yes") == promises.promise("approve").peek()


def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    """It says nothing against it, and finds little that the service could do."""
    analyze = program("systemd-analyze")
    unit = tmp_path / "dp-serve.service"
    text = (DEPLOY / "dp-serve.service").read_text()
    assert "/opt/dp/bin/dp serve" in text
    unit.write_text(text.replace("/opt/dp/bin/dp", sys.executable))
    for command in (
        ["verify"],
        ["security", "--offline=true", "--threshold=20"],
    ):
        done = subprocess.run(
            [analyze, *command, str(unit)], capture_output=True, text=True, check=False
        )
        assert 0 == done.returncode, done.stdout + done.stderr
        if command == ["verify"]:
            assert "" == done.stderr
