"""Commands of ``dp restate``, run as a user runs them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from secrets import token_hex

import anyio.from_thread
import psutil
import pytest

import dp_core as core
from dp_backends.restate import _restate_server
from support.restate import (
    JSON,
    RestateServer,
    ask,
    dp_restate,
    eventually,
    free_ports,
    lines,
    started,
)


def test_ids_are_listed_for_other_programs(restate: RestateServer) -> None:
    """Settled promises are listed, one a line, as JSON that holds any id."""
    settled, pending = f"ä\n'\u2603{token_hex(8)}", token_hex(8)
    body = {"promiseId": settled, "value": None}
    ask(restate.node.ingress, "/promise/resolve", body)
    wait = {**JSON, "Prefer": "wait=0"}
    ask(restate.node.ingress, "/promise/await", {"promiseId": pending}, wait)

    listed = dp_restate("ids", "--admin", restate.admin_url).stdout.splitlines()

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
        listed = dp_restate("ids", "--admin", restate.admin_url).stdout
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


def test_an_address_that_is_taken_is_an_error(restate: RestateServer) -> None:
    """A port that is in use is not shared with its owner."""
    done = dp_restate("serve", "--port", restate.node.ingress)

    assert 2 == done.returncode
    assert "Address already in use" in done.stderr


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("serve", "--port", "9_080"), "'9_080' is not a valid whole number; write"),
        (
            ("up", "--nodes", "\u0663", "--port", "0"),
            "is not a valid whole number; write digits",
        ),
        (("up", "--nodes", "10", "--port", "0"), "is not in the range"),
    ],
)
def test_a_number_is_written_in_plain_digits(
    words: tuple[str, ...], reason: str
) -> None:
    """What Python would also read as one is a usage error; nothing is started."""
    done = dp_restate(*words)

    assert 2 == done.returncode
    assert reason in done.stderr


def test_an_address_that_others_reach_is_said() -> None:
    """With the option that keeps strangers from calling; it serves all the same."""
    (port,) = free_ports(1)
    everywhere = "0.0.0.0"  # noqa: S104 - the fact
    serve = ("serve", "--host", everywhere, "--port", port)
    with started(*serve, stderr=subprocess.PIPE) as process:
        assert [f"Listening at http://0.0.0.0:{port}"] == lines(process, 1)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)

    assert 0 == process.returncode
    assert said.startswith("dp: without --identity-key, anybody who reaches")
    assert 1 == said.count("\n")


STOPPED_AT_ONCE = """
import asyncio, os, signal, sys, threading
from dp_backends.restate import serve

async def main():
    stop = lambda line: os.kill(os.getpid(), signal.SIGTERM)
    await serve([], port=int(sys.argv[1]), announce=stop)
    ours = {thread.native_id for thread in threading.enumerate()}
    print({int(each) for each in os.listdir("/proc/self/task")} - ours)

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of all threads")
def test_no_thread_of_the_server_is_left() -> None:
    """One that touches Python while the interpreter ends would abort the process."""
    done = subprocess.run(
        [sys.executable, "-c", STOPPED_AT_ONCE, str(free_ports(1)[0])],
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )

    assert (0, "set()\n", "") == (done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_it_may_be_stopped_while_it_registers(signum: signal.Signals) -> None:
    """A Restate that takes the request and never answers does not keep it."""
    (port,) = free_ports(1)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        admin = f"http://127.0.0.1:{mute.getsockname()[1]}"
        serve = ("serve", "--port", port, "--register", admin)
        with started(*serve, stderr=subprocess.PIPE) as process:
            lines(process, 1)
            asked, _ = mute.accept()
            with asked:
                assert asked.recv(1)
                process.send_signal(signum)
                _, complaint = process.communicate(timeout=30)

    assert (0, "") == (process.returncode, complaint)


@pytest.mark.parametrize("script", [False, True], ids=["shell", "script"])
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("servers", [0, 1])
def test_up_may_be_stopped_while_it_starts(
    program: None, tmp_path: Path, servers: int, signum: signal.Signals, script: bool
) -> None:
    """While it starts, one signal ends it, and no process is left."""
    port, admin, node, service = free_ports(4)
    with started(
        *("up", "--base-dir", tmp_path, "--port", port, "--admin-port", admin),
        *("--node-port", node, "--service-port", service),
        stderr=subprocess.PIPE,
        script=script,
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


def test_every_node_answers_once_up_says_so(program: None, tmp_path: Path) -> None:
    """Of three nodes each settles and reads at once what it is asked."""
    port = free_ports(12, in_a_row=True)[0]
    with started(
        *("up", "--nodes", 3, "--base-dir", tmp_path, "--port", port),
        *("--admin-port", port + 3, "--node-port", port + 6),
        *("--service-port", port + 9),
    ) as process:
        _, *where = lines(process, 4)
        answers = [
            ask(port + n % 3, path, body).status
            for n in range(60)
            for path, body in (
                (f"/promises/id-{n}/resolve", n),
                ("/promise/peek", {"promiseId": f"id-{n}"}),
            )
        ]
        process.send_signal(signal.SIGTERM)
        process.wait(60)

    assert all(line.startswith("Promises are at") for line in where), where
    assert [200] * 120 == answers


def test_up_says_what_it_cannot_write(program: None, tmp_path: Path) -> None:
    """A base directory below a file is an error in one line."""
    (tmp_path / "file").touch()
    done = dp_restate("up", "--base-dir", tmp_path / "file" / "data")

    assert (2, 1) == (done.returncode, done.stderr.count("\n"))
    assert f"{tmp_path}/file/data" in done.stderr


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
        done = dp_restate(
            *("up", "--base-dir", tmp_path, "--port", port, "--admin-port", admin),
            *("--node-port", node, "--service-port", service),
        )

    assert 2 == done.returncode
    assert f"{tmp_path}/restate-server.log says why" in done.stderr


async def test_a_server_that_does_not_stop_is_killed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It has its time for an end in good order; nobody waits for it for ever."""
    monkeypatch.setattr(_restate_server, "_STOP_SECONDS", 0.1)
    deaf = (
        "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "print(flush=True); signal.pause()"
    )
    process = subprocess.Popen(  # noqa: ASYNC220 - as it is started
        [sys.executable, "-c", deaf], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert b"\n" == process.stdout.readline()
    with process.stdout:
        await _restate_server._stop(process)

    assert -signal.SIGKILL == process.returncode
