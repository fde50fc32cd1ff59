"""``dp conformance``: a verdict on whatever is at a URL."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from dp_core.cli._commands import _conformance
from dp_core.testing import LAWS
from dp_core.testing.wire import MANY_CASES, TERMS_CASES
from support.core.program import UNMEASURED
from support.server.gateways import UNAVAILABLE, gateway
from support.server_process import running

LIMIT = 300
LONG_LAWS = (
    "histories-are-linearizable",
    "no-waiter-is-left-behind",
    "time-changes-nothing",
    "volume-changes-nothing",
)
TOKEN = "a-token-of-this-test"  # noqa: S105 - for this test


def dp(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the program as a user does."""
    return subprocess.run(
        [sys.executable, "-m", "dp_core", *arguments],
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize("variable", ["DP_TOKEN", "DP_TOKEN_FILE"])
def test_the_laws_of_the_wire_are_tried_with_the_token(
    variable: str, tmp_path: Path
) -> None:
    """A server that asks for a token is judged with the token that clients send."""
    path = tmp_path / "token"
    path.write_text(TOKEN)
    path.chmod(0o600)
    value = {"DP_TOKEN": TOKEN, "DP_TOKEN_FILE": str(path)}[variable]
    others = [word for law in LAWS for word in ("--skip", law)]

    with running("memory:", token=TOKEN) as server:
        url = f"http://127.0.0.1:{server.port}"
        done = dp("conformance", url, "--json", *others, **{variable: value})

    assert 0 == done.returncode, done.stdout + done.stderr
    assert 41 + len(TERMS_CASES) + len(MANY_CASES) == len(
        json.loads(done.stdout)["passed"]
    )


def test_a_right_store_passes() -> None:
    """The last line counts the laws, and the exit code is 0."""
    done = dp("conformance", "memory:")

    assert 0 == done.returncode, done.stdout + done.stderr
    assert " laws hold, 0 are broken, 7 were skipped" in done.stdout.splitlines()[-1]


IMPATIENT = """
import sys
from dp_core.cli import main
from dp_core.cli._commands import _conformance
_conformance._TELL_SECONDS = 0.2
sys.exit(main())
"""


@pytest.mark.parametrize("loop", [[], ["--trio"]])
def test_a_long_run_says_where_it_is(loop: list[str]) -> None:
    """Every now and then: the law in hand, and since when."""
    keep = {"histories-are-linearizable", "peek-never-blocks", "volume-changes-nothing"}
    others = [word for law in LAWS if law not in keep for word in ("--skip", law)]
    done = subprocess.run(
        [sys.executable, "-c", IMPATIENT, "conformance", "memory:", *loop, *others],
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )

    assert 0 == done.returncode, done.stdout + done.stderr
    line = rf"dp: \d+ s: law \d+ of {len(LAWS)}, [a-z-]+(, for \d+ s so far)?"
    told = done.stderr.splitlines()
    assert told
    assert [] == [words for words in told if not re.fullmatch(line, words)]


def test_the_time_to_go_is_told_where_something_is_known_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By the average of the laws before; it is used up by one that takes longer."""
    now = 1000.0
    monkeypatch.setattr(_conformance, "monotonic", lambda: now)
    ticker = _conformance._Ticker()
    told = [str(ticker)]
    for number, seconds in ((1, 40.0), (41, 30.0), (81, 31.0)):
        ticker(number, 81, "law")
        told.append(str(ticker))
        now += seconds
        told.append(str(ticker))
    ticker(82, 82, "law")
    now += 0.5
    told.append(str(ticker))

    assert [
        "0 s: beginning",
        "0 s: law 1 of 81, law",
        "40 s: law 1 of 81, law",
        "40 s: law 41 of 81, law; about 41 s to go",
        "70 s: law 41 of 81, law, for 30 s so far; about 40 s for the others",
        "70 s: law 81 of 81, law",
        "101 s: law 81 of 81, law, for 31 s so far",
        "102 s: law 82 of 82, law",
    ] == told


def test_a_server_is_judged_by_its_wire_too() -> None:
    """All laws of backends, and all recorded exchanges, as one JSON report."""
    with running("memory:") as server:
        url = f"http://127.0.0.1:{server.port}"
        # What takes longest; tests/testing/test_ours.py has it.
        skips = [word for name in LONG_LAWS for word in ("--skip", name)]
        done = dp("conformance", url, "--json", "--trio", *skips)

    assert 0 == done.returncode, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["ok"]
    skipped = [name for name, why in report["skipped"] if why == "as asked"]
    assert set(LONG_LAWS) == set(skipped)
    assert 41 == sum(name.startswith("wire-") for name in report["passed"])
    assert {*TERMS_CASES, *MANY_CASES} <= {*report["passed"]}


def test_a_broken_store_is_told_what_it_breaks(tmp_path: Path) -> None:
    """The laws it breaks are named with their histories; the exit code is 1."""
    (tmp_path / "forgetful.py").write_text(
        "import dp_core\n"
        "from dp_backends.memory import MemoryBackend\n"
        "class Forgetful(MemoryBackend):\n"
        "    async def settle(self, id, outcome):\n"
        "        await self.dispose(id)\n"
        "        return await super().settle(id, outcome)\n"
        "@dp_core.hookimpl\n"
        "def dp_register_backends(register):\n"
        "    register('forgetful', Forgetful)\n"
    )
    info = tmp_path / "forgetful-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: forgetful\n")
    (info / "entry_points.txt").write_text("[dp_core]\nforgetful = forgetful\n")
    done = subprocess.run(
        [sys.executable, "-m", "dp_core", "conformance", "forgetful:"],
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path)},
    )

    assert 1 == done.returncode, done.stdout + done.stderr
    assert "first-completion-wins: " in done.stdout
    assert "contract: " in done.stdout


def test_what_cannot_be_judged_is_an_error() -> None:
    """No server, or no such law: one line that says what to do."""
    nobody = dp("conformance", "http://127.0.0.1:9?retry=0.1")
    unknown = dp("conformance", "memory:", "--skip", "no-such-law")

    assert 2 == nobody.returncode
    assert "127.0.0.1:9" in nobody.stderr
    assert 2 == unknown.returncode
    assert "no law is called 'no-such-law'" in unknown.stderr


SOON_TOLD = """
import sys
from dp_core.cli import main
from dp_core.cli._commands import _conformance
_conformance._PATIENCE = 2
sys.exit(main())
"""


def not_judged(
    url: str,
    until: Callable[[], None],
    end: Callable[[int], None],
    environment: Mapping[str, str] | None = None,
) -> str:
    """
    End a store while it is judged; return what is said.

    Args:
        url: The store.
        until: Waits until it is judged.
        end: Ends it; gets the number of the process that judges.
        environment: Variables to set for that.
    """
    with subprocess.Popen(
        [sys.executable, "-c", SOON_TOLD, "conformance", "--json", url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=None if environment is None else {**os.environ, **environment},
    ) as process:
        try:
            until()
            end(process.pid)
            output, errors = process.communicate(timeout=120)
        finally:
            process.kill()

    assert 2 == process.returncode, errors
    assert [] == json.loads(output)["violations"]
    # Notices are sentences of the program, as its errors are.
    assert all(line.startswith("dp: ") for line in errors.splitlines())
    assert "'no answer" not in errors
    assert "the store cannot be used any more: " in errors
    return errors.splitlines()[-1]


def fill_disk(pid: int) -> None:
    """Let a process write no more to files, as where there is no room."""
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, 0))


def test_a_server_that_dies_is_not_judged() -> None:
    """It is said, with exit code 2, and with what was judged until then."""
    with running("memory:") as server:
        said = not_judged(
            f"http://127.0.0.1:{server.port}?retry=0.5",
            lambda: wait_until_asked(server.port),
            lambda _: server.process.kill(),
        )
    # On a machine with much to do, the look that tells may last for too long.
    assert "connection refused" in said.lower() or "no answer within 2 s" in said


def test_a_server_whose_disk_is_full_is_not_judged(tmp_path: Path) -> None:
    """It still reads, and so it answers looks, but no law can be tried."""
    with running(f"file:{tmp_path}/promises") as server:
        said = not_judged(
            f"http://127.0.0.1:{server.port}?retry=0.5",
            lambda: wait_until_asked(server.port),
            lambda _: fill_disk(server.process.pid),
        )
    assert "the server's store failed" in said


@pytest.mark.parametrize("scheme", ["file", "sqlite"])
def test_a_store_whose_disk_is_full_is_not_judged(tmp_path: Path, scheme: str) -> None:
    """Nor is a store of this process; what it said is said."""
    said = not_judged(
        f"{scheme}:{tmp_path}/promises",
        lambda: wait_until_made(tmp_path / "promises"),
        fill_disk,
        UNMEASURED,
    )
    assert f"{tmp_path}/promises" in said


@pytest.mark.parametrize(
    ("answer", "reason"),
    [(UNAVAILABLE, "HTTP 503"), (b"", "no answer")],
    ids=["answers 503", "answers nothing"],
)
def test_a_server_behind_a_dead_gateway_is_not_judged(
    answer: bytes, reason: str
) -> None:
    """Whether the gateway says so, or swallows whatever is sent to it."""
    with (
        running("memory:", allowed_hosts=["127.0.0.1"]) as server,
        gateway(server.port) as between,
    ):
        said = not_judged(
            f"{between.url}?retry=0.5",
            lambda: wait_until_asked(between.port),
            lambda _: setattr(between, "said", answer),
        )
    assert reason in said


def wait_until_made(path: Path) -> None:
    """Return when a store is there, and something was settled in it."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = [path, *path.rglob("*.json")] if path.is_dir() else [path]
        if len(found) > 9 or (path.is_file() and path.stat().st_size > 0):
            return
        time.sleep(0.01)
    pytest.fail("nobody makes a store")


def wait_until_asked(port: int) -> None:
    """Return when laws ask a port of this machine; the first look is one connection."""
    local, established = f":{port:04X}", "01"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
        rows = [line.split() for line in lines]
        if 2 < sum(row[1].endswith(local) and row[3] == established for row in rows):
            return
        time.sleep(0.01)
    pytest.fail("nobody asks the server")
