"""No store, a damaged one, one that may not be used: a clear error, and no harm."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import apsw
import pytest

import dp_core as dp
from dp_backends.sql.sqlite import _database
from dp_core import _plugins
from support.sqlite.stores import files, opened, rows

SOMEBODY = 65534
LOOKS = ("peek", "resolve", "get", "list")


def look(url: str, what: str) -> Any:
    """Ask a new handle for something."""
    return anyio.run(_look, url, what)


async def _look(url: str, what: str) -> Any:
    async with dp.connect(url) as promises:
        match what:
            case "list":
                return [info.id async for info in promises.list()]
            case "peek kept":
                return await promises.promise("kept").peek()
            case "resolve":
                return await promises.promise("x").resolve(1)
            case "get":
                return await promises.promise("x").get(timeout=60)
            case _:
                return await getattr(promises.promise("x"), what)()


async def _fill(url: str) -> None:
    async with dp.connect(url) as promises:
        await promises.promise("kept").resolve("kept")
        await promises.create("x", tags={"a": "b"})
        await promises.promise("x").resolve("v" * 4000)


@pytest.fixture
def store(path: Path, url: str) -> bytes:
    """Make a store, and close it; return what is in its file."""
    anyio.run(_fill, url)
    return path.read_bytes()


def names(directory: Path) -> set[str]:
    """Return the names in a directory."""
    return {path.name for path in directory.iterdir()}


# Others' files --------------------------------------------------------------------


def other_program(path: Path) -> None:
    """Make a database that says whose it is."""
    with opened(path) as connection:
        connection.execute("PRAGMA application_id = 7")


def other_tables(path: Path) -> None:
    """Make one that does not say so."""
    with opened(path) as connection:
        connection.execute("CREATE TABLE promises (id TEXT)")


def other_log(path: Path) -> None:
    """Make one with a write-ahead log."""
    with opened(path) as connection:
        connection.execute("PRAGMA journal_mode = wal")
        connection.execute("CREATE TABLE mine (id TEXT)")


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (other_program, "the database of another program; name another file"),
        (other_tables, "the database of another program; name another file"),
        (other_log, "the database of another program; name another file"),
        (lambda path: path.write_text("hello " * 1000), "is not an SQLite database"),
        (lambda path: path.write_text("hello"), "is not an SQLite database"),
        (Path.mkdir, r"is a directory; name a file in it, as .*/p.db/promises.db"),
        (os.mkfifo, "is not a regular file; name another one"),
    ],
    ids=["program", "tables", "log", "text", "short", "directory", "fifo"],
)
@pytest.mark.parametrize("what", LOOKS)
def test_what_is_somebody_elses_is_not_touched(
    path: Path, url: str, make: Callable[[Path], None], told: str, what: str
) -> None:
    """The error names it, says what to do, and there is no file more than before."""
    make(path)
    shown = files if path.is_file() else names
    before = shown(path.parent)

    with pytest.raises(dp.BackendUnavailableError, match=told) as caught:
        look(url, what)

    assert str(path) in str(caught.value)
    assert before == shown(path.parent)


@pytest.mark.parametrize("what", LOOKS)
def test_there_must_be_a_directory(tmp_path: Path, what: str) -> None:
    """None is made: a typing error would be a store that nobody looks for."""
    with pytest.raises(dp.BackendUnavailableError, match="there is no directory"):
        look(f"sqlite:{tmp_path}/no/p.db", what)
    assert set() == names(tmp_path)


def test_a_part_of_the_path_is_a_file(path: Path, url: str) -> None:
    """The error says so."""
    path.write_text("")
    with pytest.raises(dp.BackendUnavailableError, match="not a directory"):
        look(f"{url}/p.db", "peek")


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("sqlite:", "names no database; try 'sqlite:./promises.db'"),
        ("sqlite::memory:", "write 'memory:'"),
        ("sqlite:p.db?mode=ro", "it has no options"),
        ("sqlite:p.db#x", "it has no options"),
        ("sqlite://host/p.db", "has no host 'host'"),
    ],
)
def test_a_url_that_names_no_file(url: str, told: str) -> None:
    """It is refused when it is opened, before anything else."""
    with pytest.raises(dp.UnknownBackendError, match=told):
        dp.connect(url)


# Damage ---------------------------------------------------------------------------


def overwritten(data: bytes, at: int, new: bytes) -> bytes:
    """Return data with something else in it."""
    return data[:at] + new + data[at + len(new) :]


@pytest.mark.parametrize(
    ("damage", "kind", "told"),
    [
        (lambda d: overwritten(d, 0, b"X" * 16), dp.BackendUnavailableError, "is not"),
        (lambda d: overwritten(d, 16, b"\0\1"), dp.CorruptPromiseError, "backup"),
        (
            lambda d: overwritten(d, 99, b"\xff" * 400),
            dp.CorruptPromiseError,
            "backup",
        ),
        (
            lambda d: overwritten(d, 4096, b"\xff" * (len(d) - 4096)),
            dp.CorruptPromiseError,
            "backup",
        ),
        (lambda d: d[: len(d) // 2], dp.CorruptPromiseError, "backup"),
        (lambda d: d[:50], dp.CorruptPromiseError, "backup"),
    ],
    ids=["magic", "page size", "schema", "pages", "half", "header"],
)
@pytest.mark.parametrize("what", LOOKS)
def test_a_damaged_database_is_no_empty_one(
    path: Path,
    url: str,
    store: bytes,
    damage: Callable[[bytes], bytes],
    kind: type[dp.BackendError],
    told: str,
    what: str,
) -> None:
    """Nobody is told "pending", and nothing is written to what may be saved."""
    data = damage(store)
    path.write_bytes(data)

    with pytest.raises(kind, match=told):
        look(url, what)
    assert data == path.read_bytes()


HUGE = 2**63 - 1
RESOLVED = "UPDATE promises SET {} WHERE id = CAST('x' AS BLOB)"
PENDING = RESOLVED.replace("SET", "SET state = 0, outcome = NULL,")


@pytest.mark.parametrize(
    ("statement", "broken"),
    [
        (RESOLVED.format("state = 7"), {"peek", "info", "get", "list"}),
        (RESOLVED.format("outcome = NULL"), {*LOOKS, "info"}),
        (RESOLVED.format("outcome = x'ff'"), {*LOOKS, "info"}),
        (RESOLVED.format("outcome = x'ff', state = 2"), {*LOOKS, "info"}),
        (RESOLVED.format("settled_by = x'ff'"), {*LOOKS, "info"}),
        (RESOLVED.format(f"settled_at = {HUGE}"), {"info", "list"}),
        (RESOLVED.format(f"created_at = -{HUGE}"), {"info", "list"}),
        (RESOLVED.format("terms = x'7b'"), {"info", "list"}),
        (PENDING.format("terms = x'7b', deadline = 1"), {"peek", "info", "list"}),
        (PENDING.format(f"version = {HUGE}"), {"resolve", "disposed"}),
        (PENDING.format(f"deadline = {HUGE}"), {"get"}),
        ("DROP TABLE promises", {"peek", "resolve", "get", "list", "info", "kept"}),
    ],
)
def test_a_damaged_row_harms_no_other(
    path: Path, url: str, store: bytes, statement: str, broken: set[str]
) -> None:
    """It is an error where the row is needed; the promise can still be disposed of."""
    rows(path, statement)
    for what in sorted(broken & {"peek", "info", "resolve", "get"}):
        with pytest.raises(dp.CorruptPromiseError):
            look(url, what)
    if "list" in broken:
        with pytest.raises((dp.CorruptPromiseError, ExceptionGroup)):
            look(url, "list")
    if "kept" not in broken:
        assert dp.Resolved("kept") == look(url, "peek kept")
    if not broken & {"kept", "disposed"}:
        look(url, "dispose")
        assert dp.Resolved(1) == look(url, "resolve")
        assert ["kept", "x"] == look(url, "list")


# Formats ---------------------------------------------------------------------------


def test_a_newer_format_is_refused(path: Path, url: str, store: bytes) -> None:
    """The error says which, and what to do."""
    rows(path, "PRAGMA user_version = 99")
    before = files(path.parent)
    for what in LOOKS:
        with pytest.raises(dp.BackendUnavailableError, match=r"format 99.*upgrade"):
            look(url, what)
    assert before == files(path.parent)


def test_an_older_format_is_brought_up_to_date_once(
    path: Path, url: str, store: bytes
) -> None:
    """By whom comes first, whatever races; what was there stays."""
    program = f"""
import sys, anyio, dp_core as dp
from dp_backends.sql.sqlite import _database
tables = _database.SQL.formats
_database.SQL.formats = (*tables, ("CREATE TABLE second (x)",))
async def main():
    async with dp.connect({url!r}) as promises:
        print("ready", flush=True)
        sys.stdin.readline()
        assert dp.Resolved("kept") == await promises.promise("kept").peek()
        await promises.promise(sys.argv[1]).resolve(1)
anyio.run(main)
"""
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert "ready\n" == racer.stdout.readline()
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    for racer in racers:
        _, complaint = racer.communicate(timeout=60)
        assert 0 == racer.returncode, complaint
    assert [(2,)] == rows(path, "PRAGMA user_version")
    assert [(6,)] == rows(path, "SELECT count(*) FROM promises")


# What is missing, or not allowed ----------------------------------------------------


def test_a_missing_driver_names_what_to_install(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    """With the extra, ready to be typed."""
    for module in list(sys.modules):
        if module.startswith(("apsw", "dp_backends.sql")):
            monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "apsw", None)
    monkeypatch.setattr(_plugins, "_found", {})

    told = r"pip install 'durable-promises\[sqlite\]'"
    with pytest.raises(dp.UnknownBackendError, match=told):
        dp.connect(url)


@pytest.mark.parametrize("version", ["3.40.1", "3.51.2", "3.52.0"])
def test_an_sqlite_that_damages_databases_is_refused(
    path: Path, url: str, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    """Its log could be reset while another one writes it."""
    monkeypatch.setattr(apsw, "sqlite_lib_version", lambda: version)
    with pytest.raises(dp.BackendUnavailableError, match=f"{version}.*upgrade apsw"):
        look(url, "resolve")
    assert not path.exists()


def test_a_network_file_system_is_refused(
    url: str, store: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite's locks do not hold there; the error says what does."""
    monkeypatch.setattr(_database, "is_remote", lambda _: True)
    for what in LOOKS:
        with pytest.raises(dp.BackendUnavailableError, match=r"postgresql:.*dp serve"):
            look(url, what)


@contextmanager
def as_somebody() -> Iterator[None]:
    """Be a user who is not root."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(SOMEBODY)
    try:
        yield
    finally:
        if before == 0:
            os.seteuid(before)


def in_sight(path: Path) -> None:
    """Let others come as far as the directory of a database."""
    for parent in list(path.parents)[: -len(Path("/tmp").parts)]:  # noqa: S108 - none is made
        parent.chmod(0o755)


def test_no_permission_is_said_so(path: Path, url: str, store: bytes) -> None:
    """Of the file, or of its directory."""
    in_sight(path)
    path.chmod(0)
    for mode in (0o555, 0o000):
        path.parent.chmod(mode)
        for what in LOOKS:
            with (
                as_somebody(),
                pytest.raises(dp.AccessDeniedError, match="owner and mode"),
            ):
                look(url, what)
    path.parent.chmod(0o555)
    with as_somebody(), pytest.raises(dp.AccessDeniedError, match="permission denied"):
        look(f"sqlite:{path.parent}/new.db", "resolve")
    path.parent.chmod(0o755)


def test_too_many_open_files_is_said_so(url: str, store: bytes) -> None:
    """And passes: the same handle goes on."""

    async def main() -> None:
        async with dp.connect(url) as promises:
            promise = promises.promise("kept")
            with (
                no_descriptors(),
                pytest.raises(dp.BackendUnavailableError, match="ulimit -n"),
            ):
                await promise.peek()
            assert dp.Resolved("kept") == await promise.peek()

    anyio.run(main)


@contextmanager
def no_descriptors() -> Iterator[None]:
    """Let no more files be opened meanwhile."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    spare = os.open(os.devnull, os.O_RDONLY)
    resource.setrlimit(resource.RLIMIT_NOFILE, (spare, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        os.close(spare)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_the_files_are_their_owners(path: Path, url: str, umask: int) -> None:
    """Whatever the umask gives away."""

    async def main() -> dict[str, int]:
        async with dp.connect(url) as promises:
            await promises.promise("x").resolve(1)
            return modes(path.parent)

    before = os.umask(umask)
    try:
        found = anyio.run(main)
    finally:
        os.umask(before)
    assert dict.fromkeys(("p.db", "p.db-wal", "p.db-shm", "p.db-bell"), 0o600) == found


def modes(directory: Path) -> dict[str, int]:
    """Return the modes of the files in a directory."""
    return {path.name: path.stat().st_mode & 0o777 for path in directory.iterdir()}


def test_a_working_directory_that_was_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A handle that was opened before goes on; a relative path says what is wrong."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)

    async def main() -> None:
        async with dp.connect("sqlite:../p.db") as promises:
            os.rmdir(gone)  # noqa: PTH106 - it blocks nobody
            await promises.promise("x").resolve(1)
            with pytest.raises(dp.BackendUnavailableError, match="working directory"):
                dp.connect("sqlite:p.db")

    anyio.run(main)
    assert (tmp_path / "p.db").exists()
