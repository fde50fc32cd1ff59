"""`check_database`: what `dp doctor` says of a file, which it leaves as it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import anyio
import apsw
import pytest

from dp_backends.sql.sqlite import _checks
from dp_backends.sql.sqlite._checks import check_database
from dp_backends.sql.sqlite._database import _prepare
from dp_core import BackendUnavailableError
from dp_core.backend import Check
from support.core.disks.strangers import as_somebody, in_sight
from support.sqlite.looks import fill


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the database will be."""
    return tmp_path / "p.db"


@pytest.fixture
def store(path: Path) -> None:
    """Make a store, and close it."""
    anyio.run(fill, f"sqlite:{path}")


def found(path: Path) -> dict[str, Check]:
    """Return the checks of a file, by their names."""
    return {check.name: check for check in check_database(str(path))}


def test_an_sqlite_that_damages_databases_is_a_problem(
    path: Path, store: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing else is looked at by it."""
    monkeypatch.setattr(apsw, "sqlite_lib_version", lambda: "3.40.1")

    checks = found(path)

    assert ["driver"] == [*checks]
    assert "problem" == checks["driver"].status
    assert "upgrade apsw" in checks["driver"].advice


def test_a_path_that_cannot_be_looked_at_is_a_problem(path: Path) -> None:
    """What the system says of it is said."""
    loop = path.with_name("loop")
    loop.symlink_to("loop")

    check = found(loop / "store.db")["store"]

    assert "problem" == check.status
    assert f"cannot look at {loop}/store.db" in check.text


def test_a_file_of_somebody_else_is_a_problem(path: Path, store: None) -> None:
    """It names who may do what; what cannot be read is not looked into."""
    in_sight(path)
    path.parent.chmod(0o777)
    path.chmod(0o400)
    with as_somebody():
        checks = found(path)

    assert "problem" == checks["rights"].status
    assert f"may not read and write {path}" in checks["rights"].text
    assert "content" not in checks


def test_a_file_that_others_may_write_is_a_warning(path: Path, store: None) -> None:
    """They could change what was settled."""
    assert "rights" not in found(path)
    path.chmod(0o666)

    check = found(path)["rights"]

    assert ("warning", f"chmod 600 {path}") == (check.status, check.advice)


@pytest.fixture
def locking(path: Path, store: None) -> Iterator[None]:
    """Let somebody have the database for itself."""
    with closing(apsw.Connection(str(path))) as other:
        other.pragma("locking_mode", "exclusive")
        other.execute("BEGIN IMMEDIATE; CREATE TABLE x (y); COMMIT")
        yield


@pytest.mark.usefixtures("locking")
def test_a_database_that_is_locked_is_a_warning(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said after a while, with how to find who does that."""
    monkeypatch.setattr(_checks, "_BUSY_MILLISECONDS", 10)

    check = found(path)["store"]

    assert "warning" == check.status
    assert f"another process locks {path}" in check.text


def test_a_large_database_is_looked_through_for_a_while(
    path: Path, store: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could not be looked at is left to a command, which is named."""
    with closing(apsw.Connection(str(path))) as database:
        database.execute("CREATE TABLE large (x); BEGIN")
        database.executemany(
            "INSERT INTO large VALUES (?)", ((f"{n}",) for n in range(20_000))
        )
        database.execute("COMMIT")
    assert "quick_check" in found(path)["content"].text
    monkeypatch.setattr(_checks, "_LOOKING_SECONDS", -1.0)

    check = found(path)["content"]

    assert "ok" == check.status
    assert "for the rest: sqlite3" in check.text


def test_a_log_that_grows_is_a_warning(
    path: Path, store: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody keeps it from being moved into the database."""
    monkeypatch.setattr(_checks, "_LARGE_LOG", 1)
    assert "log" not in found(path)
    with closing(apsw.Connection(str(path))) as other:
        other.execute("CREATE TABLE x (y)")
        check = found(path)["log"]

    assert "warning" == check.status
    assert "transaction open" in check.advice


def test_a_place_without_a_log_is_refused() -> None:
    """Where SQLite cannot keep one, readers would wait for writers, and more."""
    with (
        closing(apsw.Connection(":memory:")) as database,
        pytest.raises(BackendUnavailableError, match="write-ahead log beside here"),
    ):
        _prepare(database, "here")
