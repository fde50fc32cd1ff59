"""Stores of every format on disk: read, brought up to date, and gone on with."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path

import apsw
import pytest

import dp_core as dp
from dp_backends.file._opening import _finding
from dp_backends.sql.sqlite import _database
from support.core.release.stores import STORES, create_at_once, go_on, told, told_by
from support.core.stores import infos
from support.sqlite.stores import rows

FILES = sorted(path.name for path in STORES.glob("file-*"))
DATABASES = sorted(path.name for path in STORES.glob("sqlite-*"))
OLDER = [name for name in (*FILES, *DATABASES) if "-1" in name]


def restored(name: str, directory: Path) -> str:
    """Put a store into a directory as it was; return its URL."""
    if name in DATABASES:
        shutil.copy(STORES / name / "promises.db", directory)
        (directory / "promises.db").chmod(0o600)
        return f"sqlite:{directory}/promises.db"
    with tarfile.open(STORES / name / "promises.tar.gz") as archive:
        archive.extractall(directory, filter="tar")
    return f"file:{directory}/promises"


@pytest.fixture(params=[*FILES, *DATABASES])
def name(request: pytest.FixtureRequest) -> str:
    """Return the name of each store in turn."""
    return str(request.param)


@pytest.fixture
def url(name: str, tmp_path: Path) -> str:
    """Return the URL of a copy of it."""
    return restored(name, tmp_path)


def format_of(url: str) -> int:
    """Return the format of a store by what is on disk."""
    path = path_of(url)
    if path.is_dir():
        return int(json.loads((path / "FORMAT").read_bytes())["format"])
    ((form,),) = rows(path, "PRAGMA user_version")
    return int(form)


def path_of(url: str) -> Path:
    """Return the place of a store on disk."""
    return Path(url.partition(":")[2])


def test_there_is_a_store_of_every_format() -> None:
    """Who adds a format keeps a store of it, and those of the others."""
    kept = {kind: set[int]() for kind in ("file", "sqlite", "postgresql")}
    for path in STORES.iterdir():
        kind, form, *_ = path.name.split("-")
        kept[kind].add(int(form))

    sql = {*range(1, _database.SQL.format + 1)}
    assert {"file": {*_finding.FORMATS}, "sqlite": sql, "postgresql": sql} == kept


async def test_all_is_told_as_it_was_told_then(name: str, url: str) -> None:
    """Each promise, by each way to read, is what the version said that wrote it."""
    expected = told_by(name)

    assert expected == await told(url, expected)


async def test_promises_go_on(name: str, url: str) -> None:
    """What had won stays, and what is done now is as in a new store."""
    await go_on(url, has_terms=name != "file-1")

    left = [each for each in told_by(name) if each["id"] in ("null", " ", "x" * 1024)]
    states = [shown["value"] for shown in left]
    async with dp.connect(url) as promises:
        assert states == [await promises.promise(each["id"]).get() for each in left]


@pytest.mark.slow
@pytest.mark.parametrize("name", OLDER, indirect=True)
def test_two_processes_bring_it_up_to_date_at_once(name: str, url: str) -> None:
    """It becomes one store of the newest format, with what both have created."""
    create_at_once(url, "one", "two")

    kept = [each["id"] for each in told_by(name) if each["id"] != "disposed"]
    assert {*kept, "one", "two"} == {info.id for info in infos(url)}
    assert 2 == format_of(url)
    if name in DATABASES:
        assert schema(STORES / "sqlite-2" / "promises.db") == schema(path_of(url))


def schema(path: Path) -> set[tuple[str, str]]:
    """Return what is in a database, which is not changed."""
    # Another process's look would make files beside a store that is kept.
    with apsw.Connection(f"file:{path}?immutable=1", flags=LOOK) as connection:
        found = connection.execute("SELECT name, sql FROM sqlite_schema").fetchall()
    connection.close()
    return set(found)


LOOK = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI


@pytest.mark.parametrize("name", ["file-2", "sqlite-2"], indirect=True)
async def test_an_older_version_refuses_it(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A version that reads format 1 only says what to do, and does nothing."""
    monkeypatch.setattr(_finding, "FORMATS", (1,))
    monkeypatch.delitem(_database.SQL.upgrades, 1)

    async with dp.connect(url) as promises:
        for operation in (
            promises.promise("created").peek(),
            promises.promise("created").resolve(1),
            promises.create("new"),
        ):
            with pytest.raises(dp.BackendUnavailableError, match=REFUSED):
                await operation

    assert 2 == format_of(url)


REFUSED = r"format 2, and this version reads 1 to 1; upgrade durable-promises"
