"""``dp serve`` behind nginx or HAProxy, as processes, with limits made short."""

from __future__ import annotations

import getpass
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Final

import pytest

__all__ = ["PROXIES", "behind", "free_port", "serving", "until_open"]

NGINX: Final = """
daemon off;
user {user};
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{ }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  default_type text/html;
  upstream back {{ server 127.0.0.1:{upstream}; keepalive 8; }}
  server {{
    listen 127.0.0.1:{port};
    proxy_read_timeout {idle}s;
    proxy_connect_timeout {idle}s;
    {options}
    location / {{
      proxy_pass http://back;
      proxy_http_version 1.1;
      proxy_set_header Host 127.0.0.1:{upstream};
      proxy_set_header Connection "";
    }}
    location /away {{ return 200 "<html>Back soon.</html>"; }}
  }}
}}
"""
HAPROXY: Final = """
global
  nbthread 1
defaults
  mode http
  timeout connect {idle}s
  timeout client 60s
  timeout server {idle}s
frontend front
  bind 127.0.0.1:{port}
  {options}
  default_backend back
backend back
  http-request set-header Host 127.0.0.1:{upstream}
  server one 127.0.0.1:{upstream}
"""
PROXIES: Final = {
    "nginx": (NGINX, ["nginx", "-e", "stderr", "-c"]),
    "haproxy": (HAPROXY, ["haproxy", "-db", "-f"]),
}


def free_port() -> int:
    """Return a port at which nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextmanager
def serving(store: Path, port: int = 0) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run ``dp serve``; when the block ends, kill it unless it is dead already."""
    command = ["-m", "dp_core", "serve", "--url", f"file:{store}", "--port", str(port)]
    with subprocess.Popen(
        [sys.executable, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            found = re.search(r"http://\S+", process.stdout.readline())
            assert found
            yield process, found[0]
        finally:
            process.kill()


@contextmanager
def behind(
    proxy: str, upstream: int, folder: Path, *, idle: int = 60, options: str = ""
) -> Iterator[str]:
    """
    Run a proxy before a port; yield its URL.

    Args:
        proxy: ``nginx`` or ``haproxy``.
        upstream: The port that it forwards to.
        folder: An empty directory of its own.
        idle: The seconds for which it waits for an answer.
        options: More lines of its configuration.
    """
    text, command = PROXIES[proxy]
    program = shutil.which(command[0], path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if program is None:
        reason = f"no {proxy}; sh .ci/programs installs it"
        if "CI" in os.environ:
            pytest.fail(reason)
        pytest.skip(reason)
    port = free_port()
    file = folder / f"{proxy}.conf"
    file.write_text(
        text.format(
            folder=folder,
            port=port,
            upstream=upstream,
            idle=idle,
            options=options,
            user=getpass.getuser(),
        )
    )
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(
            [program, *command[1:], str(file)], stdout=subprocess.DEVNULL, stderr=log
        ) as process,
    ):
        try:
            until_open(port, process, folder / "log")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def until_open(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return once a proxy listens; fail with its log where it has ended."""
    ends = monotonic() + 60
    while monotonic() < ends:
        assert process.poll() is None, log.read_text()
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
    raise AssertionError(log.read_text())
