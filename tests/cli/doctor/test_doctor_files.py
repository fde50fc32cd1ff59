"""``dp doctor`` on stores that keep files: directories, databases, and their disks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest

from support.core.program import PROGRAM, UNMEASURED, Run

Found = dict[str, dict[str, Any]]
Fill = Callable[..., None]
Snapshot = Callable[[Path], object]


@pytest.fixture
def found(here: Run, env: dict[str, str]) -> Callable[[str], Found]:
    """Return a function that tells the worst check of each name, about a store."""

    def found(url: str) -> Found:
        env["DP_URL"] = url
        return by_name(here("doctor", "--json").stdout)

    return found


def by_name(output: bytes) -> Found:
    """Return checks by their names; of several with one name, the worst."""
    checks: Found = {}
    order = ("ok", "warning", "problem")
    for check in json.loads(output):
        before = checks.setdefault(check["name"], check)
        if order.index(check["status"]) > order.index(before["status"]):
            checks[check["name"]] = check
    return checks


in_namespace = pytest.mark.skipif(
    subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "true"],
        check=False,
        capture_output=True,
    ).returncode
    != 0,
    reason="no user namespaces here, in which to mount and to set limits",
)


def in_namespace_of_its_own(script: str, env: dict[str, str], *words: str) -> Found:
    """Return what a script finds that may mount, and set limits, for itself alone."""
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-ec"]
    doctor = " ".join((*PROGRAM, "doctor --json"))
    done = subprocess.run(
        [*command, f"{script}\n{doctor} || true", "sh", *words],
        env=env,
        capture_output=True,
        check=False,
    )
    assert b"" == done.stderr
    return by_name(done.stdout)


# A directory --------------------------------------------------------------------


def test_a_directory_stays_as_it_is(
    found: Callable[[str], Found], env: dict[str, str], fill: Fill, snapshot: Snapshot
) -> None:
    """Nothing is made, changed or repaired, a wrong mode included."""
    url = env["DP_URL"]
    root = Path(url.removeprefix("file:"))
    missing = found(url)
    assert not root.exists()
    fill(["one"])
    root.chmod(0o722)
    before = snapshot(root.parent)
    there = found(url)

    assert before == snapshot(root.parent)
    assert "warning" == missing["store"]["status"]
    assert there["store"]["text"].endswith("is a store of format 1")
    assert "others may write into" in there["directory"]["text"]
    assert "chmod 700" in there["directory"]["advice"]


def test_what_is_wrong_with_a_directory_is_said(
    found: Callable[[str], Found], tmp_path: Path
) -> None:
    """A file in its place, things of others, a newer format, a damaged one."""
    for name, files, words in (
        ("file", None, "is not a directory"),
        ("letters", {"letter": "dear"}, "is not a store and not empty"),
        ("newer", {"FORMAT": '{"format": 99}', "p": None}, "has format 99"),
        ("damaged", {"FORMAT": "?", "p": None}, "is damaged"),
    ):
        root = tmp_path / name
        if files is None:
            root.write_text("x")
        else:
            root.mkdir(mode=0o700)
            for file, text in files.items():
                (root / file).mkdir() if text is None else (root / file).write_text(
                    text
                )
        checks = found(f"file:{root}")
        problems = [c for c in checks.values() if c["status"] == "problem"]
        assert [True] == [words in c["text"] for c in problems], problems
        assert [] == [c for c in problems if not c["advice"]]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_the_store_of_another_user_is_a_problem(
    found: Callable[[str], Found], tmp_path: Path
) -> None:
    """It names both users, and how to share a store."""
    os.chown(tmp_path, 12345, 12345)
    checks = found(f"file:{tmp_path}")

    assert "belongs to user 12345, and this is user 0" in checks["directory"]["text"]
    assert "dp serve" in checks["directory"]["advice"]


@in_namespace
@pytest.mark.parametrize(
    ("mount", "name", "status", "words"),
    [
        ("-t tmpfs -o size=256m none", "file system", "warning", "in memory"),
        ("-t tmpfs -o size=1m none", "space", "warning", "little is free: 1 MiB"),
        ("-t tmpfs -o nr_inodes=9 none", "space", "warning", " 8 files"),
        ("-t tmpfs -o ro none", "file system", "problem", "mounted read-only"),
    ],
)
def test_disks_are_judged(
    env: dict[str, str], tmp_path: Path, mount: str, name: str, status: str, words: str
) -> None:
    """By their kind, how they are mounted, and by what is free there."""
    for scheme, path in (("file", "promises"), ("sqlite", "promises.db")):
        env["DP_URL"] = f"{scheme}:{tmp_path}/{path}"
        checks = in_namespace_of_its_own(f'mount {mount} "$1"', env, str(tmp_path))
        assert (scheme, status) == (scheme, checks[name]["status"])
        assert words in checks[name]["text"]


@in_namespace
def test_a_full_disk_is_a_problem(env: dict[str, str], tmp_path: Path) -> None:
    """It names the command that makes room."""
    env["DP_URL"] = f"file:{tmp_path}/promises"
    script = 'mount -t tmpfs -o size=1m none "$1"; head -c 1M /dev/zero > "$1/all"'
    checks = in_namespace_of_its_own(script, env, str(tmp_path))

    assert "problem" == checks["space"]["status"]
    assert "dp prune" in checks["space"]["advice"]


@in_namespace
@pytest.mark.parametrize(
    ("limit", "value", "words"),
    [
        ("instances", 0, "no instances are left"),
        ("instances", 2, "few instances are left"),
        ("watches", 0, "no watches are left"),
        ("watches", 100, "few watches are left"),
    ],
)
def test_limits_of_inotify_are_told(
    env: dict[str, str], limit: str, value: int, words: str
) -> None:
    """What is used up, or nearly so, is said with the limit to raise."""
    script = f"echo {value} > /proc/sys/user/max_inotify_{limit}"
    check = in_namespace_of_its_own(script, env)["inotify"]

    assert "warning" == check["status"]
    assert words in check["text"]
    assert f" of {value} {limit}" in check["text"]
    assert f"sysctl fs.inotify.max_user_{limit}=" in check["advice"]


def test_watches_in_use_are_counted(found: Callable[[str], Found]) -> None:
    """Those of other processes of this user."""
    script = (
        "import ctypes; libc = ctypes.CDLL(None); fd = libc.inotify_init1(0)\n"
        "for path in (b'/', b'/tmp', b'/usr'): libc.inotify_add_watch(fd, path, 2)\n"
        "print('ready', flush=True); input()"
    )
    command = [sys.executable, "-c", script]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        assert "ready\n" == process.stdout.readline()
        text = found("file:/tmp/dp-doctor-has-none")["inotify"]["text"]
        process.communicate("\n")

    words = text.rpartition(" has ")[2].replace(",", "").split()
    instances, watches = int(words[0]), int(words[4])
    assert instances >= 1
    assert watches >= 3


# A database ---------------------------------------------------------------------


def test_a_database_stays_as_it_is(
    found: Callable[[str], Found], dp: Run, tmp_path: Path, snapshot: Snapshot
) -> None:
    """Closed, or with the log of a process that was killed; no file is made beside."""
    path = tmp_path / "store.db"
    url = f"sqlite:{path}"
    missing = found(url)
    assert [] == list(tmp_path.iterdir())
    assert 0 == dp("resolve", "one", "1", "--url", url).returncode
    for _ in ("closed", "killed"):
        before = snapshot(tmp_path)
        checks = found(url)
        assert {"ok"} == {check["status"] for check in checks.values()}
        assert "is a store of format " in checks["store"]["text"]
        after = snapshot(tmp_path)
        index = f"{path.name}-shm"
        assert _but(before, index) == _but(after, index)
        _leave_a_log(url)
        assert (tmp_path / f"{path.name}-wal").stat().st_size

    assert "warning" == missing["store"]["status"]
    assert b"2\n" == dp("peek", "two", "--url", url).stdout


def test_a_database_that_is_all_in_its_log_is_a_store(
    found: Callable[[str], Found], tmp_path: Path
) -> None:
    """As long as nothing was moved into the database, it is read with its log."""
    url = f"sqlite:{tmp_path}/store.db"
    _leave_a_log(url)
    checks = found(url)

    assert ("ok", "ok") == (checks["store"]["status"], checks["content"]["status"])


def _but(snapshot: Any, name: str) -> dict[str, object]:
    """Leave out SQLite's index of the log, of which a reader takes note in it."""
    return {key: value for key, value in snapshot.items() if key != name}


def _leave_a_log(url: str) -> None:
    """Settle a promise in a process that ends without closing its store."""
    script = (
        "import os, sys, anyio, dp_core\n"
        "async def main():\n"
        "    await dp_core.connect(sys.argv[1]).promise('two').resolve(2)\n"
        "    os._exit(0)\n"
        "anyio.run(main)"
    )
    # Else there is time, while coverage writes its file, to close the store at rest.
    env = {**os.environ, **UNMEASURED}
    subprocess.run([sys.executable, "-c", script, url], check=True, env=env)


def test_what_is_wrong_with_a_database_is_said(
    found: Callable[[str], Found], dp: Run, tmp_path: Path
) -> None:
    """Another program's, no database, another format, other tables, a damaged page."""
    theirs = tmp_path / "theirs.db"
    apsw.Connection(str(theirs)).execute("CREATE TABLE t (x)")
    (tmp_path / "text.db").write_text("not a database, but as long as one" * 99)
    (tmp_path / "empty.db").touch(mode=0o600)
    ours = tmp_path / "ours.db"
    dp("resolve", "one", "x" * 20_000, "--url", f"sqlite:{ours}")
    newer = tmp_path / "newer.db"
    newer.write_bytes(ours.read_bytes())
    apsw.Connection(str(newer)).pragma("user_version", 99)
    below = tmp_path / "below.db"
    below.write_bytes(ours.read_bytes())
    apsw.Connection(str(below)).pragma("user_version", -1)
    for table in ("promises", "tags"):
        other = tmp_path / f"{table}.db"
        other.write_bytes(ours.read_bytes())
        apsw.Connection(str(other)).execute(f"ALTER TABLE {table} RENAME TO old")
    raw = bytearray(ours.read_bytes())
    raw[4096 * 2 : 4096 * 6] = b"\xff" * 4096 * 4
    damaged = tmp_path / "damaged.db"
    damaged.write_bytes(raw)

    for path, name, status, words in (
        (theirs, "store", "problem", "is the database of another program"),
        (tmp_path / "text.db", "store", "problem", "is damaged, or"),
        (tmp_path / "empty.db", "store", "warning", "is empty"),
        (tmp_path / "none" / "x.db", "directory", "problem", "there is no directory"),
        (tmp_path, "store", "problem", "is a directory"),
        (newer, "store", "problem", "has format 99"),
        (below, "store", "problem", "has format -1"),
        (tmp_path / "promises.db", "store", "problem", "no such table: promises"),
        (tmp_path / "tags.db", "store", "problem", "no such table: tags"),
        (damaged, "content", "problem", "is damaged"),
    ):
        check = found(f"sqlite:{path}")[name]
        assert (status, True) == (check["status"], words in check["text"]), check


def test_a_missing_driver_is_named_with_its_package(
    dp: Run, env: dict[str, str], tmp_path: Path
) -> None:
    """The advice is the command that installs it."""
    (tmp_path / "apsw.py").write_text("raise ModuleNotFoundError('No apsw')")
    env["PYTHONPATH"] = str(tmp_path)
    check = by_name(dp("doctor", "--json", "--url", "sqlite:x.db").stdout)["store"]

    assert "problem" == check["status"]
    assert check["advice"].endswith("pip install 'durable-promises[sqlite]'")
