"""Commands of ``dp restate``, run as a user runs them."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

import anyio.from_thread
import psutil
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

import dp_core as core
from support.restate import JSON, RestateServer, ask, eventually, free_ports

DP = (sys.executable, "-m", "dp_core", "restate")
Done = subprocess.CompletedProcess[str]


def dp(*arguments: object, **environment: str) -> Done:
    """Run a command to its end."""
    return subprocess.run(
        [*DP, *map(str, arguments)],
        capture_output=True,
        check=False,
        env={**os.environ, **environment},
        text=True,
        timeout=60,
    )


@contextmanager
def started(
    *arguments: object, stderr: int | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Run a command until the block ends."""
    with subprocess.Popen(
        [*DP, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


def lines(process: subprocess.Popen[str], number: int) -> list[str]:
    """Return the next lines that a process prints."""
    assert process.stdout is not None
    return [process.stdout.readline().rstrip() for _ in range(number)]


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


def test_ids_are_listed_for_other_programs(restate: RestateServer) -> None:
    """Settled promises are listed, one a line, as JSON that holds any id."""
    settled, pending = f"ä\n'\u2603{token_hex(8)}", token_hex(8)
    body = {"promiseId": settled, "value": None}
    ask(restate.node.ingress, "/promise/resolve", body)
    wait = {**JSON, "Prefer": "wait=0"}
    ask(restate.node.ingress, "/promise/await", {"promiseId": pending}, wait)

    listed = dp("ids", "--admin", restate.admin_url).stdout.splitlines()

    ids = [json.loads(line) for line in listed]
    assert settled in ids
    assert pending not in ids
    assert sorted(ids) == ids


def test_promises_move_there_and_back(restate: RestateServer, tmp_path: Path) -> None:
    """Promises are copied from a file store to Restate, and back to another one."""
    here, there = f"file:{tmp_path}/here", f"file:{tmp_path}/there"
    ids = [token_hex(8) for _ in range(40)]
    with anyio.from_thread.start_blocking_portal() as portal:
        portal.call(settle, here, ids)
        copy = (sys.executable, "-m", "dp_core", "copy")
        subprocess.run([*copy, here, restate.url], check=True)
        listed = dp("ids", "--admin", restate.admin_url).stdout
        subprocess.run(
            [*copy, restate.url, there, "--ids", "-"],
            check=True,
            input=listed,
            text=True,
        )

        moved = portal.call(peek, there, ids)
    assert [core.Resolved(f"value of {id}") for id in ids] == moved


async def settle(url: str, ids: list[str]) -> None:
    """Settle promises."""
    async with core.connect(url) as promises:
        for id in ids:
            await promises.promise(id).resolve(f"value of {id}")


async def peek(url: str, ids: list[str]) -> list[core.State[object]]:
    """Return the states of promises."""
    async with core.connect(url) as promises:
        return [await promises.promise(id).peek() for id in ids]


def test_without_a_restate_it_says_so() -> None:
    """Without an admin API, the error is one line that says what to do."""
    port, closed = free_ports(2)
    admin = f"http://127.0.0.1:{closed}"
    for done in (
        dp("serve", "--port", port, "--register", admin),
        dp("ids", "--admin", admin),
    ):
        assert 2 == done.returncode
        assert f"cannot reach Restate's admin API at {admin}" in done.stderr
        assert "dp restate up" in done.stderr
        assert 1 == done.stderr.count("\n")


def test_a_service_that_restate_does_not_reach_is_an_error(
    restate: RestateServer,
) -> None:
    """The error has Restate's own reason in it."""
    port, closed = free_ports(2)
    elsewhere = f"http://127.0.0.1:{closed}"
    done = dp(
        *("serve", "--port", port, "--register", restate.admin_url),
        *("--advertise", elsewhere),
    )

    assert 2 == done.returncode
    assert f"Restate at {restate.admin_url} refuses" in done.stderr
    assert elsewhere in done.stderr


def test_an_address_that_is_taken_is_an_error(restate: RestateServer) -> None:
    """A port that is in use is not shared with its owner."""
    done = dp("serve", "--port", restate.node.ingress)

    assert 2 == done.returncode
    assert "Address already in use" in done.stderr


def test_calls_that_restate_has_not_signed_are_refused(server: RestateServer) -> None:
    """With the key of another Restate, calls of this one get a 401."""
    key = "publickeyv1_w7YHemBctH5Ck2nQRQ47iBBqhNHy4FV7t2Usbye2A6f"
    (port,) = free_ports(1)
    serve = ("serve", "--port", port, "--register", server.admin_url)
    done = dp(*serve, "--identity-key", key)

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


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("servers", [0, 1])
def test_up_may_be_stopped_while_it_starts(
    program: None, tmp_path: Path, servers: int, signum: signal.Signals
) -> None:
    """While it starts, one signal ends it, and no process is left."""
    port, admin, node, service = free_ports(4)
    with started(
        *("up", "--base-dir", tmp_path, "--port", port, "--admin-port", admin),
        *("--node-port", node, "--service-port", service),
        stderr=subprocess.PIPE,
    ) as process:
        itself = psutil.Process(process.pid)
        lines(process, 1)
        eventually(lambda: len(itself.children()) >= servers, "the server is started")
        children = itself.children()
        process.send_signal(signum)
        _, complaint = process.communicate(timeout=60)

    assert (130, "") == (process.returncode, complaint.strip())
    assert not any(child.is_running() for child in children)


def test_up_starts_all_that_is_needed(program: None, tmp_path: Path) -> None:
    """After one command promises settle; after one signal no process is left."""
    port, admin, node, service = free_ports(4)
    up = (
        *("up", "--base-dir", tmp_path / "data", "--port", port),
        *("--admin-port", admin, "--node-port", node, "--service-port", service),
    )
    for signum, expected in (
        (signal.SIGINT, b"null"),
        (signal.SIGTERM, b'{"value":1}'),
    ):
        with started(*up) as process:
            begun, where = lines(process, 2)
            children = psutil.Process(process.pid).children()
            seen = ask(port, "/promises/kept/peek").body
            ask(port, "/promises/kept/resolve", 1)
            process.send_signal(signum)
            code = process.wait(60)

        assert f"Starting restate-server in {tmp_path / 'data'}" == begun
        assert where.startswith(f"Promises are at http://localhost:{port} (process ")
        assert (expected, 0) == (seen, code)
        assert 1 == len(children)
        assert not any(child.is_running() for child in children)


def test_up_says_how_to_get_the_server(tmp_path: Path) -> None:
    """Without restate-server, the error names the command that installs it."""
    # The places where the program is looked for: all of them are empty.
    source = (
        "import sys\n"
        f"sys.prefix = {str(tmp_path)!r}\n"
        "from dp_core.cli import main\n"
        "main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", source, "restate", "up", "--base-dir", tmp_path],
        capture_output=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PATH": str(tmp_path)},
        text=True,
        timeout=60,
    )

    assert 2 == done.returncode
    assert "npm install --global @restatedev/restate-server" in done.stderr


def test_up_says_why_the_server_stopped(program: None, tmp_path: Path) -> None:
    """The error names the log of a server that cannot listen."""
    port, admin, node, service = free_ports(4)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        done = dp(
            *("up", "--base-dir", tmp_path, "--port", port, "--admin-port", admin),
            *("--node-port", node, "--service-port", service),
        )

    assert 2 == done.returncode
    assert f"{tmp_path}/restate-server.log says why" in done.stderr
