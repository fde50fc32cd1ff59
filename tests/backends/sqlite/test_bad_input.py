"""No store, a damaged one, another format: a clear error, and no harm."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import dp_core as dp
from support.sqlite.looks import LOOKS, look, names
from support.sqlite.stores import files, opened, rows

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


def test_the_root_is_a_directory() -> None:
    """The name that is proposed has one slash."""
    with pytest.raises(dp.BackendUnavailableError, match=r"as /promises\.db$"):
        look("sqlite:/", "peek")


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


@pytest.mark.parametrize("form", [99, -1, 2**31 - 1])
def test_an_unknown_format_is_refused(
    path: Path, url: str, store: bytes, form: int
) -> None:
    """The error says which, and what to do."""
    rows(path, f"PRAGMA user_version = {form}")
    before = files(path.parent)
    for what in LOOKS:
        with pytest.raises(dp.BackendUnavailableError, match=f"format {form}.*upgrade"):
            look(url, what)
    assert before == files(path.parent)


@pytest.mark.slow
def test_an_older_format_is_brought_up_to_date_once(
    path: Path, url: str, store: bytes
) -> None:
    """By whom comes first, whatever races; what was there stays."""
    program = f"""
import sys, anyio, dp_core as dp
from dp_backends.sql.sqlite import _database
_database.SQL.upgrades[_database.SQL.format] = ("CREATE TABLE newer (x)",)
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
    assert [(3,)] == rows(path, "PRAGMA user_version")
    assert [(6,)] == rows(path, "SELECT count(*) FROM promises")
